// Ranks that are threads of one process, for tests of what is made of a Collective.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <anabranch/collective.hpp>
#include <anabranch/error.hpp>

namespace anabranch::test {

/// Letters that are on their way: by sender, receiver and number of the exchange.
class Post {
 public:
  using Address = std::tuple<std::int32_t, std::int32_t, std::uint64_t>;
  struct Letter {
    CollectiveKind kind;
    std::vector<std::byte> bytes;
  };

  void send(const Address& address, Letter letter) {
    const std::lock_guard lock(mutex_);
    letters_.emplace(address, std::move(letter));
    changed_.notify_all();
  }
  Letter receive(const Address& address, Collective::Limit limit) {
    std::unique_lock lock(mutex_);
    const bool there = changed_.wait_for(lock, limit, [&] { return closed_ || letters_.count(address) > 0; });
    if (!there || letters_.count(address) == 0)
      fail(Status::limit_reached, "rank ", std::get<0>(address), " has sent nothing");
    Letter letter = std::move(letters_.at(address));
    letters_.erase(address);
    return letter;
  }
  /// A rank is gone: nobody waits for it.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Address, Letter> letters_;
  bool closed_ = false;
};

class ThreadRank final : public Collective {
 public:
  ThreadRank(Post& post, std::int32_t rank, std::int32_t size, Limit limit) : post_(post), rank_(rank), size_(size) {
    set_limit(limit);
  }
  std::int32_t rank() const noexcept override { return rank_; }
  std::int32_t size() const noexcept override { return size_; }

 private:
  void exchange(const Operation& operation, std::span<const Sent> sent, std::span<const Received> received) override {
    for (const Sent& s : sent)
      post_.send({rank_, s.to, operation.number}, {operation.kind, {s.bytes.begin(), s.bytes.end()}});
    for (const Received& r : received) {
      const Post::Letter letter = post_.receive({r.from, rank_, operation.number}, operation.limit);
      if (letter.kind != operation.kind || letter.bytes.size() != r.bytes.size())
        fail(Status::wrong_state, "rank ", r.from, " is in ", collective_name(letter.kind), " of ", letter.bytes.size(),
             " bytes, rank ", rank_, " in ", collective_name(operation.kind), " of ", r.bytes.size());
      std::copy(letter.bytes.begin(), letter.bytes.end(), r.bytes.begin());
    }
  }

  Post& post_;
  std::int32_t rank_, size_;
};

/// Calls body(rank) on `n` threads. What each has thrown: Status::ok and "" for nothing.
inline std::vector<Error> outcomes_of_ranks(std::int32_t n, const std::function<void(Collective&)>& body,
                                            Collective::Limit limit = std::chrono::minutes(5)) {
  Post post;
  std::vector<Error> outcomes(static_cast<std::size_t>(n), Error(Status::ok, ""));
  std::vector<std::thread> threads;
  for (std::int32_t r = 0; r < n; ++r)
    threads.emplace_back([&, r] {
      ThreadRank rank(post, r, n, limit);
      try {
        body(rank);
      } catch (const Error& error) {
        outcomes[static_cast<std::size_t>(r)] = error;
        post.close();
      } catch (const std::exception& error) {
        outcomes[static_cast<std::size_t>(r)] = Error(Status::internal, error.what());
        post.close();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

/// The same; throws what the first of them has thrown that was not the loss of another.
inline void run_ranks(std::int32_t n, const std::function<void(Collective&)>& body) {
  const std::vector<Error> outcomes = outcomes_of_ranks(n, body);
  for (const bool lost : {false, true})
    for (const Error& outcome : outcomes)
      if (outcome.status() != Status::ok && (outcome.status() == Status::limit_reached) == lost) throw outcome;
}

}  // namespace anabranch::test
