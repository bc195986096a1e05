// All workers, as control sees them: threads to start and stop, mail to send, answers to collect.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "daemon/control/loop.hpp"
#include "daemon/core/result.hpp"
#include "daemon/worker/mail.hpp"
#include "daemon/worker/worker.hpp"

namespace vethd {

/// One question at a time goes to every worker; the next when all have answered. So a snapshot
/// never meets a pair half added, and no mailbox ever holds more than one mail.
///
/// Threads  the loop's; answer(), notice() and look_again() are called by workers and go through
/// the
///          loop.
class WorkerSet final : public Control {
 public:
  using What = decltype(Mail::what);
  using MailFor = std::function<What(CpuId)>;
  using Done = std::function<void(std::vector<MailAnswer>)>;  // by CpuId
  using OnNotice = std::function<void(const FailureNotice&)>;
  using OnLookAgain = std::function<void(LookAgain)>;

  /// One worker: what it runs, how it is woken, and the CPU it is pinned to, if any.
  struct Member {
    std::unique_ptr<Worker> worker;
    Mailbox* mailbox = nullptr;
    int wake_fd = -1;
    std::optional<std::uint32_t> pin;
  };

  explicit WorkerSet(Loop& loop) : loop_(loop) {}
  ~WorkerSet() override;

  void on_notice(OnNotice handler) { on_notice_ = std::move(handler); }
  void on_look_again(OnLookAgain handler) { on_look_again_ = std::move(handler); }

  /// Starts the threads. done is called when all run, or with the first reason why one does not.
  Result<void> start(std::vector<Member> members, std::function<void(Result<void>)> done);

  void ask(MailFor mail_for, Done done);
  /// The same mail for all.
  void tell(What what, Done done);

  /// Ends and joins the threads; questions not yet answered stay so.
  void stop();

  [[nodiscard]] std::size_t size() const { return members_.size(); }

  void answer(MailAnswer answer) override;
  void notice(FailureNotice notice) override;
  void look_again(LookAgain question) override;

 private:
  struct Question {
    MailFor mail_for;
    Done done;
  };
  void send_next();
  void take(MailAnswer answer);

  Loop& loop_;
  std::vector<Member> members_;
  std::vector<std::thread> threads_;
  std::deque<Question> questions_;  // the front one has been sent
  std::vector<MailAnswer> answers_;
  std::size_t answers_missing_ = 0;
  std::uint64_t serial_ = 0;
  OnNotice on_notice_;
  OnLookAgain on_look_again_;
};

/// The first failure among the answers.
Result<void> first_failure(const std::vector<MailAnswer>& answers);

}  // namespace vethd
