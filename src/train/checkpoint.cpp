// A checkpoint is a folder: state.safetensors (parameters and moments) and state.json (steps done, settings).
#include <anabranch/train/training.hpp>

#include <algorithm>
#include <fstream>
#include <span>
#include <system_error>

#include <nlohmann/json.hpp>

#include <anabranch/error.hpp>
#include <anabranch/hf/safetensors.hpp>

namespace anabranch::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTensors = "state.safetensors";
constexpr const char* kState = "state.json";

/// Where the checkpoint before lies while another takes its place.
fs::path before(fs::path folder) { return folder += ".before"; }

/// The folder takes its name when it is complete. One of that name from before goes last: whenever the program ends,
/// one of the two is there.
void put_in_place(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (fs::exists(to)) {
    fs::remove_all(before(to), error);
    fs::rename(to, before(to), error);
  }
  if (!error) fs::rename(from, to, error);
  if (error) fail(Status::bad_file, "cannot write ", to.string(), ": ", error.message());
  fs::remove_all(before(to), error);
}

void read_into(const hf::Weights& file, const std::string& name, const std::vector<std::int64_t>& shape,
               std::span<float> out) {
  hf::read_floats(file.require(name, shape), out);
}

}  // namespace

void Training::save(const fs::path& folder, const std::string& settings) const {
  fs::path unfinished = folder;
  unfinished += ".unfinished";
  std::error_code error;
  fs::remove_all(unfinished, error);
  fs::create_directories(unfinished, error);
  if (error) fail(Status::bad_file, "cannot make ", unfinished.string(), ": ", error.message());
  const std::vector<Parameter> parameters = model_->parameters();
  const std::vector<Moments> moments = optimizer_.moments();
  std::vector<hf::FloatTensor> tensors;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    tensors.push_back({p.name, p.shape, p.values});
    tensors.push_back({p.name + "/first", p.shape, moments[i].first});
    tensors.push_back({p.name + "/second", p.shape, moments[i].second});
  }
  hf::write_safetensors(unfinished / kTensors, tensors);
  std::ofstream out(unfinished / kState);
  out << nlohmann::json{{"step", n_done()}, {"settings", settings}}.dump(2) << '\n';
  out.close();
  if (!out) fail(Status::bad_file, "cannot write ", (unfinished / kState).string());
  put_in_place(unfinished, folder);
}

void Training::restore(const fs::path& place, const std::string& settings) {
  const fs::path folder = !fs::exists(place) && fs::exists(before(place)) ? before(place) : place;
  std::ifstream in(folder / kState);
  const auto state = nlohmann::json::parse(in, nullptr, false);
  if (!in.is_open() || state.is_discarded() || !state.is_object() || !state.contains("step") ||
      !state["step"].is_number_unsigned() || !state.contains("settings") || !state["settings"].is_string())
    fail(Status::bad_file, (folder / kState).string(), ": expected a checkpoint's step and settings");
  const auto made_with = state["settings"].get<std::string>();
  if (made_with != settings)
    fail(Status::bad_file, folder.string(), " was made with other settings: ", made_with, "; now ", settings);
  const hf::Weights file = hf::Weights::open(folder / kTensors);
  std::vector<Moments> moments;
  std::vector<std::vector<float>> values;
  const std::vector<Parameter> parameters = model_->parameters();
  for (const Parameter& p : parameters) {
    const std::size_t n = p.values.size();
    Moments m{p.name, std::vector<float>(n), std::vector<float>(n)};
    read_into(file, p.name, p.shape, values.emplace_back(n));
    read_into(file, p.name + "/first", p.shape, m.first);
    read_into(file, p.name + "/second", p.shape, m.second);
    moments.push_back(std::move(m));
  }
  optimizer_.restore(state["step"].get<std::int64_t>(), moments);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    std::copy(values[i].begin(), values[i].end(), parameters[i].values.begin());
  model_->parameters_changed();
}

}  // namespace anabranch::train
