#include <anabranch/train/training.hpp>

#include <chrono>
#include <utility>

#include <anabranch/error.hpp>

namespace anabranch::train {
namespace {

std::vector<std::int32_t> lengths_of(const std::vector<TokenRow>& rows) {
  std::vector<std::int32_t> lengths;
  for (const TokenRow& row : rows) lengths.push_back(row.n_tokens());
  return lengths;
}

std::vector<const TokenRow*> chosen(const std::vector<TokenRow>& rows, const std::vector<std::size_t>& numbers) {
  std::vector<const TokenRow*> out;
  for (const std::size_t number : numbers) out.push_back(&rows[number]);
  return out;
}

}  // namespace

Training::Training(Model& model, std::vector<TokenRow> rows, const TrainingOptions& options)
    : model_(&model),
      rows_(std::move(rows)),
      options_(options),
      steps_(plan_steps(lengths_of(rows_), options.schedule)),
      optimizer_(model, options.optimizer) {}

StepReport Training::step() {
  if (done()) fail(Status::wrong_state, "all ", n_steps(), " steps are done");
  const auto begin = std::chrono::steady_clock::now();
  const StepRows& rows = steps_.begin()[n_done()];
  StepReport report;
  report.epoch = rows.epoch;
  report.rate = learning_rate(n_done(), n_steps(), options_.rate);
  std::int64_t n_targets = 0;
  for (const auto& pass : rows.passes)
    for (const std::size_t row : pass) {
      n_targets += rows_[row].n_targets();
      report.n_tokens += rows_[row].n_tokens();
    }
  model_->zero_gradients();
  const double scale = n_targets > 0 ? 1.0 / static_cast<double>(n_targets) : 0.0;
  for (const auto& pass : rows.passes) report.losses += model_->accumulate(chosen(rows_, pass), scale);
  report.gradient_norm = optimizer_.clip(options_.clip);
  optimizer_.step(report.rate);
  report.step = n_done();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

Losses Training::evaluate(const std::vector<TokenRow>& rows) const {
  Losses losses;
  for (const auto& pass : plan_passes(lengths_of(rows), options_.schedule.tokens_per_pass))
    losses += model_->evaluate(chosen(rows, pass));
  return losses;
}

}  // namespace anabranch::train
