#include "daemon/control/janitor_watch.hpp"

#include "daemon/process/log.hpp"

namespace vethd {

JanitorWatch::JanitorWatch(Loop& loop, Janitor& janitor) : loop_(loop), janitor_(janitor) {
  listen();
}

void JanitorWatch::listen() {
  ended_ = loop_.watch(janitor_.fd(), Loop::Event::readable, [this] { replace(); });
}

void JanitorWatch::replace() {
  ended_.reset();  // before its descriptor is closed
  const auto ensured = janitor_.ensure();
  if (!ensured) log::error("{}; what vethd made stays if it is killed", ensured.error().text());
  again_ =
      loop_.after(kTurn, [this, lives = ensured.has_value()] { lives ? listen() : replace(); });
}

}  // namespace vethd
