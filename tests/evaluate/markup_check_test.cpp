#include "markup_check.hpp"

#include <string>
#include <vector>

#include "../catch.hpp"

namespace {

namespace ab = anabranch;
using Faults = std::vector<std::string>;
using Kind = ab::Event::Kind;

constexpr ab::TokenId kBranch = 1, kBranchEnd = 2, kTitle = 3, kTitleEnd = 4, kPara = 5, kParaEnd = 6, kWord = 9;

ab::Event token(ab::TokenId id, ab::BranchIndex branch = ab::kTrunk, ab::Source source = ab::Source::sampled) {
  ab::Event event;
  event.token = id;
  event.branch = branch;
  event.source = source;
  return event;
}
ab::Event ended(Kind kind, ab::EndReason reason, ab::BranchIndex branch = ab::kTrunk) {
  ab::Event event;
  event.kind = kind;
  event.reason = reason;
  event.branch = branch;
  return event;
}

/// Faults of an answer of these trunk tokens that ends by itself.
Faults faults_of(const std::vector<ab::TokenId>& trunk, const std::vector<ab::Event>& then = {}) {
  evaluate::MarkupCheck check({kBranch, kBranchEnd, kTitle, kTitleEnd, kPara, kParaEnd});
  for (const ab::TokenId id : trunk) check.see(token(id));
  for (const ab::Event& event : then) check.see(event);
  check.see(ended(Kind::end, ab::EndReason::end_of_text));
  return check.faults();
}

const std::vector<ab::TokenId> kBlock{kWord, kTitle, kWord, kTitleEnd, kTitle, kWord, kTitleEnd, kPara};

}  // namespace

TEST_CASE("text without tags and a whole block are well-formed") {
  CHECK(faults_of({kWord, kWord}).empty());
  CHECK(faults_of(kBlock, {token(kBranch, 1, ab::Source::forced), token(kWord, 1), token(kBranchEnd, 1),
                           ended(Kind::branch_end, ab::EndReason::end_tag, 1),
                           token(kParaEnd, ab::kTrunk, ab::Source::forced), token(kWord)})
            .empty());
}

TEST_CASE("faults of titles have names") {
  CHECK(faults_of({kTitle, kWord, kTitle, kWord, kTitleEnd, kPara}) ==
        Faults{"a block of fewer than two titles", "a title is not closed"});
  CHECK(faults_of({kTitle, kTitleEnd, kTitle, kWord, kTitleEnd, kPara}) == Faults{"an empty title"});
  CHECK(faults_of({kTitleEnd}) == Faults{"a stray end of a title"});
  CHECK(faults_of({kTitle, kWord, kTitleEnd}) == Faults{"titles without a block"});
  CHECK(faults_of({kTitle, kWord}) == Faults{"titles without a block"});
  CHECK(faults_of({kPara}) == Faults{"a block of fewer than two titles"});
}

TEST_CASE("faults of branches and of the end have names") {
  CHECK(faults_of(kBlock, {ended(Kind::branch_end, ab::EndReason::limit, 1)}) == Faults{"a branch is cut"});
  CHECK(faults_of(kBlock, {ended(Kind::branch_end, ab::EndReason::end_of_text, 1)}) ==
        Faults{"a branch ends with the end of text"});
  CHECK(faults_of({kBranchEnd}) == Faults{"the end of a branch outside of one"});
  CHECK(faults_of({kParaEnd, kBranch}) == Faults{"a tag that is only forced was sampled"});
  CHECK(faults_of({}, {ended(Kind::end, ab::EndReason::limit)}) == Faults{"the answer is cut"});
  CHECK(faults_of({}, {ended(Kind::fork, ab::EndReason::limit)}) == Faults{"a block deeper than allowed"});
}
