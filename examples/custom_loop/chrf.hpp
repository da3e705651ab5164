// How alike two texts are: chrF, the F-score of their character n-grams.
//
// Popovic 2015, "chrF: character n-gram F-score for automatic MT evaluation" (WMT), with the settings that are now
// usual (sacreBLEU's chrF2): n-grams of 1 to 6 characters, spaces left out, recall counted twice as much as precision
// (beta = 2), orders that either text is too short for left out of the mean.
#pragma once

#include <string_view>

namespace loop {

/// In [0, 1]; 1 for equal texts, 0 when either has no characters. Both should be UTF-8. Cost: linear in the lengths,
/// times a logarithm.
double chrf(std::string_view hypothesis, std::string_view reference);

}  // namespace loop
