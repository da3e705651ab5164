#include "run_folder.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include <anabranch/error.hpp>

namespace anabranch::train {
namespace {

using Json = nlohmann::ordered_json;

/// Means by kind, of the kinds that occur.
Json by_kind(const Losses& losses) {
  Json out = Json::object();
  for (std::int32_t k = 0; k < kTokenKinds; ++k) {
    const auto kind = static_cast<TokenKind>(k);
    if (losses.count[kind] > 0) out[token_kind_name(kind)] = losses.mean(kind);
  }
  return out;
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path folder, std::int64_t step) : folder_(std::move(folder)) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) fail(Status::bad_file, "cannot make ", folder_.string(), ": ", error.message());
  read_log(step);
}

void RunFolder::read_log(std::int64_t step) {
  const std::filesystem::path file = folder_ / "log.jsonl";
  std::vector<std::string> kept;
  std::ifstream in(file);
  for (std::string line; step > 0 && std::getline(in, line);) {
    const Json entry = Json::parse(line, nullptr, false);
    if (entry.is_discarded() || !entry.is_object() || entry.value("step", std::int64_t{-1}) > step) continue;
    kept.push_back(line);
    const CurvePoint point{entry.value("step", std::int64_t{0}),
                           entry.value(entry.contains("validation") ? "validation" : "loss", 0.0)};
    (entry.contains("validation") ? validation_ : train_).push_back(point);
  }
  in.close();
  log_.open(file, std::ios::trunc);
  for (const std::string& line : kept) log_ << line << '\n';
  log_.flush();
  if (!log_) fail(Status::bad_file, "cannot write ", file.string());
}

void RunFolder::write_line(const std::string& line) {
  log_ << line << '\n';
  log_.flush();
  if (!log_) fail(Status::bad_file, "cannot write ", (folder_ / "log.jsonl").string());
}

void RunFolder::add(const StepReport& r) {
  train_.push_back({r.step, r.losses.mean()});
  write_line(Json{{"step", r.step},
                  {"epoch", r.epoch},
                  {"loss", r.losses.mean()},
                  {"losses", by_kind(r.losses)},
                  {"lr", r.rate},
                  {"gradient_norm", r.gradient_norm},
                  {"tokens", r.n_tokens},
                  {"targets", r.losses.n_targets()},
                  {"seconds", r.seconds},
                  {"tokens_per_second", static_cast<double>(r.n_tokens) / r.seconds}}
                 .dump());
}

void RunFolder::add_validation(std::int64_t step, const Losses& losses, double seconds) {
  validation_.push_back({step, losses.mean()});
  write_line(Json{
      {"step", step},
      {"validation", losses.mean()},
      {"losses", by_kind(losses)},
      {"targets", losses.n_targets()},
      {"seconds",
       seconds}}.dump());
}

void RunFolder::draw(const std::string& title) const {
  const std::vector<Curve> curves{{"one step", "#bfdbfe", train_},
                                  {"ten steps", "#2563eb", smoothed(train_, 10)},
                                  {"validation", "#dc2626", validation_}};
  std::ofstream out(folder_ / "curve.svg", std::ios::trunc);
  out << curve_svg(title, curves);
  out.close();
  if (!out) fail(Status::bad_file, "cannot write ", (folder_ / "curve.svg").string());
}

}  // namespace anabranch::train
