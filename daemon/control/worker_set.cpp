#include "daemon/control/worker_set.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "daemon/core/panic.hpp"

namespace vethd {
namespace {

Result<void> pin_thread(std::thread& thread, std::uint32_t cpu, std::size_t worker) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (const int error = ::pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
      error != 0)
    return fail("pin worker " + std::to_string(worker) + " to CPU " + std::to_string(cpu),
                "change [daemon] cpu_affinity", error);
  return {};
}

}  // namespace

Result<void> first_failure(const std::vector<MailAnswer>& answers) {
  for (const MailAnswer& answer : answers)
    if (!answer.result) return answer.result;
  return {};
}

WorkerSet::~WorkerSet() { stop(); }

Result<void> WorkerSet::start(std::vector<Member> members, std::function<void(Result<void>)> done) {
  members_ = std::move(members);
  // The question every worker answers unasked: has it started?
  questions_.push_back(
      {.mail_for = {}, .done = [done = std::move(done)](const std::vector<MailAnswer>& all) {
         done(first_failure(all));
       }});
  answers_.assign(members_.size(), {});
  answers_missing_ = members_.size();

  sigset_t all;
  sigset_t before;
  sigfillset(&all);  // signals are the loop's
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    threads_.emplace_back([worker = members_[i].worker.get()] { worker->run(); });
    ::pthread_setname_np(threads_.back().native_handle(), ("worker/" + std::to_string(i)).c_str());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (members_[i].pin)
      if (auto pinned = pin_thread(threads_[i], *members_[i].pin, i); !pinned) return pinned;
  return {};
}

void WorkerSet::ask(MailFor mail_for, Done done) {
  questions_.push_back({.mail_for = std::move(mail_for), .done = std::move(done)});
  if (questions_.size() == 1) send_next();
}

void WorkerSet::tell(What what, Done done) {
  ask([what = std::move(what)](CpuId) { return what; }, std::move(done));
}

void WorkerSet::send_next() {
  ++serial_;
  answers_.assign(members_.size(), {});
  answers_missing_ = members_.size();
  for (std::uint32_t i = 0; i < members_.size(); ++i) {
    auto mail = std::make_unique<Mail>(serial_, questions_.front().mail_for({i}));
    invariant(members_[i].mailbox->push(std::move(mail)), "a mailbox holds one question");
    const std::uint64_t one = 1;
    // Fails only when 2^64 wake-ups are unread.
    static_cast<void>(!::write(members_[i].wake_fd, &one, sizeof one));
  }
}

void WorkerSet::answer(MailAnswer answer) {
  loop_.post([this, answer = std::move(answer)]() mutable { take(std::move(answer)); });
}

void WorkerSet::notice(FailureNotice notice) {
  loop_.post([this, notice] {
    if (on_notice_) on_notice_(notice);
  });
}

void WorkerSet::look_again(LookAgain question) {
  loop_.post([this, question] {
    if (on_look_again_) on_look_again_(question);
  });
}

void WorkerSet::take(MailAnswer answer) {
  invariant(answer.serial == serial_, "a worker answers what it was asked last");
  answers_[answer.worker.value] = std::move(answer);
  if (--answers_missing_ != 0) return;
  const Done done = std::move(questions_.front().done);
  auto answers = std::move(answers_);
  questions_.pop_front();
  if (!questions_.empty()) send_next();
  done(std::move(answers));
}

void WorkerSet::stop() {
  if (threads_.empty()) return;
  // Not through ask(): a question may be open, and nobody runs the loop any more.
  for (Member& member : members_) {
    auto mail = std::make_unique<Mail>(serial_, Stop{});
    invariant(member.mailbox->push(std::move(mail)), "a mailbox has room to stop");
    const std::uint64_t one = 1;
    static_cast<void>(!::write(member.wake_fd, &one, sizeof one));
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace vethd
