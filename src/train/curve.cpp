#include <anabranch/train/curve.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace anabranch::train {
namespace {

constexpr double kWidth = 760, kHeight = 400, kLeft = 60, kRight = 150, kTop = 40, kBottom = 44;

std::string number(double x, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + number(x, 1) + "\" y=\"" + number(y, 1) + "\" text-anchor=\"" + anchor + "\">" + escaped(text) +
         "</text>\n";
}

/// A round step (1, 2 or 5 times a power of ten) that cuts `range` into about five pieces.
double tick(double range) {
  const double rough = range / 5, power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (rough <= factor * power) return factor * power;
  return 10 * power;
}

/// Where values lie in the picture.
struct Axes {
  double steps = 1, low = 0, high = 1;
  double x(double step) const { return kLeft + (kWidth - kLeft - kRight) * step / steps; }
  double y(double loss) const { return kTop + (kHeight - kTop - kBottom) * (high - loss) / (high - low); }
};

Axes axes_of(std::span<const Curve> curves) {
  Axes axes;
  bool any = false;
  for (const Curve& curve : curves)
    for (const CurvePoint& p : curve.points) {
      if (!std::isfinite(p.loss)) continue;
      axes.low = any ? std::min(axes.low, p.loss) : p.loss;
      axes.high = any ? std::max(axes.high, p.loss) : p.loss;
      axes.steps = std::max(axes.steps, static_cast<double>(p.step));
      any = true;
    }
  const double step = tick(std::max(axes.high - axes.low, 1e-3));
  axes.low = std::floor(axes.low / step) * step;
  axes.high = std::max(std::ceil(axes.high / step) * step, axes.low + step);
  return axes;
}

std::string grid(const Axes& axes) {
  std::string out;
  const double loss_step = tick(axes.high - axes.low), count_step = std::max(1.0, tick(axes.steps));
  const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(loss_step))));
  for (double loss = axes.low; loss <= axes.high + loss_step / 2; loss += loss_step) {
    const std::string y = number(axes.y(loss), 1);
    out += "<line x1=\"" + number(kLeft, 0) + "\" x2=\"" + number(kWidth - kRight, 0) + "\" y1=\"" + y + "\" y2=\"" +
           y + "\" stroke=\"#e5e7eb\"/>\n" + text_at(kLeft - 8, axes.y(loss) + 4, "end", number(loss, digits));
  }
  for (double step = 0; step <= axes.steps; step += count_step)
    out += text_at(axes.x(step), kHeight - kBottom + 20, "middle", number(step, 0));
  return out + text_at((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", "steps");
}

std::string line_of(const Curve& curve, const Axes& axes) {
  std::string points;
  const CurvePoint* last = nullptr;
  for (const CurvePoint& p : curve.points) {
    if (!std::isfinite(p.loss)) continue;
    points += number(axes.x(static_cast<double>(p.step)), 1) + "," + number(axes.y(p.loss), 1) + " ";
    last = &p;
  }
  if (last == nullptr) return {};
  return "<polyline fill=\"none\" stroke-width=\"1.8\" stroke=\"" + curve.colour + "\" points=\"" + points + "\"/>\n";
}

}  // namespace

std::string curve_svg(const std::string& title, std::span<const Curve> curves) {
  const Axes axes = axes_of(curves);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(kWidth, 0) + " " +
                    number(kHeight, 0) +
                    "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#374151\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" +
                    text_at(kLeft, 22, "start", title) + grid(axes);
  double legend = kTop + 10;
  for (const Curve& curve : curves) {
    const std::string line = line_of(curve, axes);
    if (line.empty()) continue;
    out += line + "<rect x=\"" + number(kWidth - kRight + 12, 0) + "\" y=\"" + number(legend - 8, 0) +
           "\" width=\"14\" height=\"4\" fill=\"" + curve.colour + "\"/>\n" +
           text_at(kWidth - kRight + 32, legend, "start", curve.name + " " + number(curve.points.back().loss, 3));
    legend += 20;
  }
  return out + "</svg>\n";
}

std::vector<CurvePoint> smoothed(std::span<const CurvePoint> points, std::size_t n) {
  std::vector<CurvePoint> out;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t first = i + 1 > n ? i + 1 - n : 0;
    double sum = 0;
    for (std::size_t j = first; j <= i; ++j) sum += points[j].loss;
    out.push_back({points[i].step, sum / static_cast<double>(i + 1 - first)});
  }
  return out;
}

}  // namespace anabranch::train
