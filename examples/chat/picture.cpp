#include "picture.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <tuple>

#include <anabranch/error.hpp>

namespace chat {
namespace {

constexpr int kLeft = 210;
constexpr int kTop = 62;
constexpr int kLane = 26;
constexpr int kPass = 9;

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      default: result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return result;
}

[[noreturn]] void cannot_write(const std::filesystem::path& file, int reason) {
  anabranch::fail(anabranch::Status::bad_file, file.string(), " cannot be written: ", std::strerror(reason));
}

int x_of(std::int32_t pass) { return kLeft + kPass * pass; }
int y_of(anabranch::BranchIndex lane) { return kTop + kLane * lane; }

}  // namespace

void check_writable(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) cannot_write(file, EISDIR);
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (::access((std::filesystem::exists(file, error) ? file : folder).c_str(), W_OK) != 0) cannot_write(file, errno);
}

void Picture::show(const anabranch::Event& event) {
  using Kind = anabranch::Event::Kind;
  switch (event.kind) {
    case Kind::token: marks_.push_back({pass_, event.branch, event.source == anabranch::Source::sampled}); break;
    case Kind::fork:
      for (std::size_t k = 0; k < event.titles.size(); ++k)
        titles_[event.first_branch + static_cast<std::int32_t>(k)] = event.titles[k];
      links_.push_back({pass_, event.branch, event.first_branch, static_cast<std::int32_t>(event.titles.size())});
      break;
    case Kind::join: links_.push_back({pass_, event.branch, event.first_branch, event.n_branches}); break;
    default: break;
  }
}

void Picture::write(const std::filesystem::path& file, const std::string& question, const std::string& figures) const {
  anabranch::BranchIndex last_lane = 0;
  for (const auto& [lane, title] : titles_) last_lane = std::max(last_lane, lane);
  const int width = std::max(x_of(pass_ + 2), 760);
  const int height = y_of(last_lane) + 60;
  std::ofstream svg(file);
  fmt::print(
      svg,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n"
      "<text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{2}</text>\n"
      "<text x=\"12\" y=\"40\" fill=\"#555555\">Passes run from left to right. Marks in one column are rows of one "
      "pass: blue sampled (several: tags that were drafted), grey forced.</text>\n",
      width, height, escaped(question));
  fmt::print(svg, "<text x=\"12\" y=\"{}\">trunk</text>\n", y_of(0) + 4);
  for (const auto& [lane, title] : titles_)
    fmt::print(svg, "<text x=\"12\" y=\"{}\">{} {}</text>\n", y_of(lane) + 4, lane, escaped(title));
  for (const Link& link : links_) {
    if (link.count == 0) continue;
    fmt::print(svg, "<path d=\"M{0} {1}V{2}\" stroke=\"#d08020\" stroke-width=\"2\"/>\n", x_of(link.pass) - 2,
               y_of(std::min(link.lane, link.first)), y_of(link.first + link.count - 1));
  }
  using Cell = std::tuple<std::int32_t, anabranch::BranchIndex>;
  std::map<Cell, int> n_sampled, stacked;  // several tokens of a line in one pass
  for (const Mark& mark : marks_) n_sampled[{mark.pass, mark.lane}] += mark.sampled ? 1 : 0;
  for (const Mark& mark : marks_) {
    const Cell cell{mark.pass, mark.lane};
    const int below = stacked[cell]++;
    const int step = n_sampled[cell] > 1 ? 15 / n_sampled[cell] : 3;
    const int one = n_sampled[cell] > 1 ? step - 1 : 14;
    fmt::print(svg, "<rect x=\"{}\" y=\"{}\" width=\"7\" height=\"{}\" rx=\"1\" fill=\"{}\"/>\n", x_of(mark.pass),
               y_of(mark.lane) - 8 + std::min(below, 7) * step, mark.sampled && below < n_sampled[cell] ? one : 2,
               mark.sampled ? "#2f6fde" : "#9aa0a6");
  }
  fmt::print(svg, "<text x=\"12\" y=\"{}\" fill=\"#333333\">{}</text>\n</svg>\n", height - 16, escaped(figures));
  if (!svg.flush()) cannot_write(file, errno);
}

}  // namespace chat
