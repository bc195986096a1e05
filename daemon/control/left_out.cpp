#include "daemon/control/left_out.hpp"

namespace vethd {

LeftOutLines::LeftOutLines(Loop& loop, LogSink& sink) : loop_(loop), sink_(sink) {
  sink_.on_left_out([this] { loop_.post([this] { say_later(); }); });
}

LeftOutLines::~LeftOutLines() { sink_.on_left_out(nullptr); }

void LeftOutLines::say_later() {
  later_ = loop_.after(kEvery, [this] {
    if (!sink_.say_left_out()) say_later();
  });
}

}  // namespace vethd
