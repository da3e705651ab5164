// Fan-out over one context: many questions about the same document, answered together, then joined.
//
// The document is computed once. Each question is a branch that sees the document and itself, and all answers grow
// together, one pass per token. Then the branches join: the trunk sees the document, every question and every answer,
// and goes on serially, here with a summary. None of that is computed again.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "../common/byte_order_mark.hpp"
#include "../common/numbers.hpp"
#include "host.hpp"

namespace ab = anabranch;
using loop::Host;
using loop::Tokens;

namespace {

constexpr const char* kDocument = "examples/custom_loop/document.txt";
constexpr const char* kQuestions = "examples/custom_loop/questions.txt";

struct Options {
  loop::CommonOptions common;
  std::string document = example::data(kDocument);
  std::string questions = example::data(kQuestions);
  std::string request = "Give a short summary of your answers.";
  std::string positions = "sequential";
  std::int32_t max_tokens = 32;
  std::int32_t max_summary = 64;
};

struct Answer {
  ab::SequenceId sequence;
  Tokens tokens;  // the last one is not in the cache while the answer is open or was cut
  bool open = true;
  bool cut = false;  // it ended at the limit, not by itself
};
using Answers = std::vector<Answer>;

/// The chat's pieces, as tokens.
struct Material {
  Tokens document;  // a turn in which the document is handed over and received
  Tokens request;
  Tokens end_of_answer;
  std::vector<Tokens> questions;
};

// ---- the loop

/// Runs a step and gives each answer its next token.
void choose_all(Host& host, ab::Step& step, Answers& answers, const Options& o) {
  host.pass(step, [&](ab::SequenceId sequence, std::span<const float> logits) {
    for (Answer& answer : answers) {
      if (answer.sequence != sequence || !answer.open) continue;
      const ab::TokenId token = loop::likeliest(logits);
      answer.open = !host.ends_text(token);
      if (!answer.open) continue;
      answer.tokens.push_back(token);
      answer.cut = std::ssize(answer.tokens) == o.max_tokens;
      answer.open = !answer.cut;
    }
  });
}

ab::Positions positions(const Options& o) {
  return o.positions == "longest" ? ab::Positions::longest : ab::Positions::sequential;
}

/// The document once, and in the same pass as its end all questions, however long each is.
void ask_all(Host& host, ab::SequenceId trunk, const Material& material, Answers& answers, const Options& o) {
  const Tokens end = host.feed(trunk, material.document);
  ab::Step step = host.cache().begin_step();
  step.append(trunk, end);
  const auto sequences = step.fork(trunk, static_cast<std::int32_t>(answers.size()), {.positions = positions(o)});
  for (std::size_t k = 0; k < answers.size(); ++k) {
    answers[k].sequence = sequences[k];
    step.append(sequences[k], material.questions[k], ab::Logits::last);
  }
  choose_all(host, step, answers, o);
}

/// One token of every open answer per pass, until none is open.
void answer_all(Host& host, Answers& answers, const Options& o) {
  for (;;) {
    ab::Step step = host.cache().begin_step();
    bool any = false;
    for (const Answer& answer : answers) {
      if (!answer.open || answer.tokens.empty()) continue;
      step.append(answer.sequence, {answer.tokens.back()}, ab::Logits::last);
      any = true;
    }
    if (!any) return;
    choose_all(host, step, answers, o);
  }
}

/// The tokens that an answer's sequence must be fed before the next turn can begin.
Tokens closing(const Answer& answer, const Material& material) {
  Tokens tokens = material.end_of_answer;
  if (answer.cut) tokens.insert(tokens.begin(), answer.tokens.back());
  return tokens;
}

/// The ends of all answers, the join, and the request that sees them: one step, one pass.
Tokens join_and_go_on(Host& host, ab::SequenceId trunk, const Material& material, const Answers& answers,
                      const Options& o) {
  std::vector<ab::SequenceId> sequences;
  ab::Step step = host.cache().begin_step();
  for (const Answer& answer : answers) {
    step.append(answer.sequence, closing(answer, material));
    sequences.push_back(answer.sequence);
  }
  step.join(trunk, sequences);
  step.append(trunk, material.request, ab::Logits::last);
  return host.write(std::move(step), trunk, o.max_summary);
}

// ---- the same in other ways, to compare with

/// One question as a branch of the document, answered before the next one is asked.
void ask_next(Host& host, ab::SequenceId trunk, const Material& material, Answers& answers, std::size_t k,
              const Options& o) {
  ab::Step step = host.cache().begin_step();
  answers[k].sequence = step.fork(trunk, 1, {.positions = positions(o)}).front();
  step.append(answers[k].sequence, material.questions[k], ab::Logits::last);
  choose_all(host, step, answers, o);
  answer_all(host, answers, o);
}

/// One question on a sequence of its own, with its own copy of the document.
void ask_alone(Host& host, const Material& material, Answers& answers, std::size_t k, const Options& o) {
  answers[k].sequence = host.cache().create_sequence();
  Tokens prompt = material.document;
  prompt.insert(prompt.end(), material.questions[k].begin(), material.questions[k].end());
  const Tokens end = host.feed(answers[k].sequence, prompt);
  ab::Step step = host.cache().begin_step();
  step.append(answers[k].sequence, end, ab::Logits::last);
  choose_all(host, step, answers, o);
}

void drop(Host& host, ab::SequenceId sequence) {
  ab::Step step = host.cache().begin_step();
  step.drop(sequence);
  host.pass(step, [](ab::SequenceId, std::span<const float>) {});
}

/// The request after a new prompt of everything that was said.
Tokens go_on_alone(Host& host, const Material& material, const Answers& answers, const Options& o) {
  Tokens prompt = material.document;
  const auto add = [&](const Tokens& tokens) { prompt.insert(prompt.end(), tokens.begin(), tokens.end()); };
  for (std::size_t k = 0; k < answers.size(); ++k) {
    add(material.questions[k]);
    add(answers[k].tokens);
    add(material.end_of_answer);
  }
  add(material.request);
  const ab::SequenceId sequence = host.cache().create_sequence();
  const Tokens end = host.feed(sequence, prompt);
  ab::Step step = host.cache().begin_step();
  step.append(sequence, end, ab::Logits::last);
  return host.write(std::move(step), sequence, o.max_summary);
}

// ---- measured

enum class Way : std::uint8_t {
  one_by_one,  // each question with its own copy of the document
  kept,        // each question alone, but the document is computed once: what a prefix cache does
  batch,       // all questions at once, each with its own copy
  branches,
};
constexpr const char* kWayNames[] = {"one by one", "document kept", "batch", "branches"};

struct Outcome {
  Answers answers;
  Tokens summary;
  std::size_t n_seen = 0;  // answers whose every slot the joined trunk sees, in order
  loop::Cost cost;
};

/// Slots of the sequence's own tokens.
std::vector<ab::Slot> own_slots(const ab::KvCache& cache, ab::SequenceId sequence) {
  const std::vector<ab::Slot> all = cache.slots_of(sequence);
  return {all.begin() + cache.fork_tokens(sequence), all.end()};
}

/// How many answers' own slots the trunk sees after the document, in the order of the join.
std::size_t n_seen(const ab::KvCache& cache, ab::SequenceId trunk, std::int64_t n_document,
                   const std::vector<std::vector<ab::Slot>>& answers) {
  const std::vector<ab::Slot> seen = cache.slots_of(trunk);
  auto from = seen.begin() + n_document;
  std::size_t n = 0;
  for (const std::vector<ab::Slot>& wanted : answers) {
    const auto found = std::search(from, seen.end(), wanted.begin(), wanted.end());
    if (found == seen.end()) break;
    from = found + std::ssize(wanted);
    ++n;
  }
  return n;
}

void run_forked(Host& host, Way way, const Material& material, Outcome& outcome, const Options& o) {
  const ab::SequenceId trunk = host.cache().create_sequence();
  if (way == Way::branches) {
    ask_all(host, trunk, material, outcome.answers, o);
    answer_all(host, outcome.answers, o);
  } else {
    const Tokens end = host.feed(trunk, material.document);
    ab::Step step = host.cache().begin_step();
    step.append(trunk, end);
    host.pass(step, [](ab::SequenceId, std::span<const float>) {});
    for (std::size_t k = 0; k < outcome.answers.size(); ++k) ask_next(host, trunk, material, outcome.answers, k, o);
  }
  std::vector<std::vector<ab::Slot>> slots;
  for (const Answer& answer : outcome.answers) slots.push_back(own_slots(host.cache(), answer.sequence));
  outcome.summary = join_and_go_on(host, trunk, material, outcome.answers, o);
  outcome.n_seen = n_seen(host.cache(), trunk, std::ssize(material.document), slots);
}

void run_alone(Host& host, Way way, const Material& material, Outcome& outcome, const Options& o) {
  Answers& answers = outcome.answers;
  for (std::size_t k = 0; k < answers.size(); ++k) {
    ask_alone(host, material, answers, k, o);
    if (way == Way::batch) continue;
    answer_all(host, answers, o);
    drop(host, answers[k].sequence);  // its text is known; the summary's prompt is computed anew anyway
  }
  if (way == Way::batch) {
    answer_all(host, answers, o);
    for (const Answer& answer : answers) drop(host, answer.sequence);
  }
  outcome.summary = go_on_alone(host, material, answers, o);
}

Outcome run_way(Way way, const ab::torch::CausalLm& model, const Material& material, const Options& o) {
  Outcome outcome;
  outcome.answers.resize(material.questions.size());
  std::int64_t n_said = std::ssize(material.request) + o.max_summary;
  for (const Tokens& question : material.questions)
    n_said += std::ssize(question) + o.max_tokens + std::ssize(material.end_of_answer);
  const std::int64_t n_copies = way == Way::batch ? std::ssize(material.questions) : 1;
  Host host(model, {n_copies * std::ssize(material.document) + n_said, std::ssize(material.questions) + 1},
            kWayNames[static_cast<std::size_t>(way)], o.common.progress());
  if (way == Way::branches || way == Way::kept) {
    run_forked(host, way, material, outcome, o);
  } else {
    run_alone(host, way, material, outcome, o);
  }
  outcome.cost = host.finish();
  return outcome;
}

// ---- what is read and what is shown

std::string read(const std::string& path) {
  if (std::filesystem::is_directory(path)) ab::fail(ab::Status::bad_file, fmt::format("{} is a folder", path));
  std::ifstream file(path, std::ios::binary);
  if (!file) ab::fail(ab::Status::bad_file, fmt::format("cannot open {}", path));
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  example::drop_byte_order_mark(text);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) ab::fail(ab::Status::bad_file, fmt::format("{} is empty", path));
  const std::size_t bad = ab::first_bad_utf8(text);
  if (bad < text.size())
    ab::fail(ab::Status::bad_file, fmt::format("{} is no UTF-8 at byte {} of {}", path, bad, text.size()));
  return text;
}

std::vector<std::string> read_questions(const std::string& path) {
  std::vector<std::string> questions;
  const std::string text = read(path) + "\n";
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    std::string line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) questions.push_back(line);
  }
  return questions;
}

Material prepare(const loop::Chat& chat, const std::string& document, const std::vector<std::string>& questions,
                 const Options& o) {
  Material material;
  material.document = chat.exchange("Read this text. I will ask you about it.\n\n" + document,
                                    "I have read the text. What would you like to know?");
  material.request = chat.next_turn(o.request);
  material.end_of_answer = chat.end_of_answer();
  for (const std::string& question : questions) material.questions.push_back(chat.next_turn(question));
  return material;
}

int run(const Options& o) {
  const std::vector<std::string> questions = read_questions(o.questions);
  const std::string document = read(o.document);
  const ab::torch::CausalLm model = o.common.load();
  const loop::Chat chat(model);
  const Material material = prepare(chat, document, questions, o);
  std::vector<loop::Side> sides;
  for (const char* name : kWayNames) sides.push_back({name, {}});
  std::vector<Outcome> outcomes(sides.size());
  for (std::size_t round = 0; round < static_cast<std::size_t>(o.common.rounds); ++round) {
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const std::size_t way = (i + round) % sides.size();
      outcomes[way] = run_way(static_cast<Way>(way), model, material, o);
      sides[way].rounds.push_back(outcomes[way].cost);
    }
  }
  const Outcome& branches = outcomes.back();
  for (std::size_t k = 0; k < questions.size(); ++k)
    loop::print_text(fmt::format("\n? {}", questions[k]), chat.text(branches.answers[k].tokens));
  loop::print_text(fmt::format("\n? {}", o.request), chat.text(branches.summary));
  loop::print_text("\nthe same request after a prompt computed anew", chat.text(outcomes.front().summary));
  loop::print_costs(sides);
  fmt::print(
      "  saved by forking and joining: {} rows not computed again (the document has {}), {} slots not duplicated\n",
      outcomes[0].cost.n_rows - branches.cost.n_rows, material.document.size(),
      outcomes[2].cost.n_slots - branches.cost.n_slots);
  bool equal = true;
  for (const Outcome& outcome : outcomes)
    for (std::size_t k = 0; k < questions.size(); ++k)
      equal = equal && outcome.answers[k].tokens == branches.answers[k].tokens;
  const int status = loop::conclude("the same answers in all four ways", equal, model);
  const bool all_seen = branches.n_seen == questions.size();
  fmt::print("  the joined sequence sees {} of {} answers\n", branches.n_seen, questions.size());
  return all_seen ? status : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Questions about one document as branches, joined for a summary; measured against serial decoding"};
  app.add_option("--document", o.document, "UTF-8 text that all questions are about")->default_str(kDocument);
  app.add_option("--questions", o.questions, "one a line")->default_str(kQuestions);
  app.add_option("--request", o.request, "last turn, which sees all answers")
      ->check(example::utf8())
      ->capture_default_str();
  app.add_option("--positions", o.positions, "of the branches: sequential, longest")
      ->check(CLI::IsMember({"sequential", "longest"}))
      ->capture_default_str();
  app.add_option("--max-tokens", o.max_tokens, "of an answer")->check(example::between(1, 8192))->capture_default_str();
  app.add_option("--max-summary", o.max_summary, "tokens of the last turn")
      ->check(example::between(1, 8192))
      ->capture_default_str();
  o.common.add_to(app);
  return loop::run(app, argc, argv, [&o] { return run(o); });
}
