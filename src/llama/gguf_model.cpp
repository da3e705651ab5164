#include <anabranch/llama/gguf_model.hpp>

#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <sched.h>

#include <llama.h>

#include <anabranch/error.hpp>

namespace anabranch::llama {
namespace {

void say_nothing(ggml_log_level, const char*, void*) {}

std::int32_t n_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
  return static_cast<std::int32_t>(std::thread::hardware_concurrency());
}

void check(const GgufOptions& options) {
  const auto in = [](std::int32_t value, std::int32_t least, std::int32_t most, const char* name) {
    if (value < least || value > most)
      fail(Status::bad_argument, name, " is ", value, "; it must be ", least, " to ", most);
  };
  in(options.n_cells, 1, 1 << 30, "n_cells");
  in(options.n_seq_ids, 1, 256, "n_seq_ids");
  // llama.cpp asserts that a batch, which is no larger than the cache, can hold an output of every seq_id.
  if (options.n_cells < options.n_seq_ids)
    fail(Status::bad_argument, "n_cells is ", options.n_cells, " for ", options.n_seq_ids,
         " seq_ids; it must be at least n_seq_ids");
  if (options.max_rows < options.n_seq_ids)
    fail(Status::bad_argument, "max_rows is ", options.max_rows, " for ", options.n_seq_ids,
         " seq_ids; it must be at least n_seq_ids");
  in(options.max_rows, 1, 1 << 20, "max_rows");
  in(options.n_threads, 0, GGML_MAX_N_THREADS, "n_threads");
}

llama_context* make_context(llama_model* model, const GgufOptions& options) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(options.n_cells);
  params.n_batch = static_cast<std::uint32_t>(options.max_rows);
  params.n_ubatch = params.n_batch;
  params.n_seq_max = static_cast<std::uint32_t>(options.n_seq_ids);
  params.n_threads = params.n_threads_batch = options.n_threads > 0 ? options.n_threads : n_cores();
  params.kv_unified = true;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;  // slower on a CPU
  params.type_k = params.type_v = options.cells == CellType::float32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
  params.no_perf = true;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr)
    fail(Status::out_of_memory, "llama.cpp made no context of ", options.n_cells, " cells and ", options.n_seq_ids,
         " seq_ids");
  return context;
}

}  // namespace

GgufModel GgufModel::load(const std::filesystem::path& file, const GgufOptions& options) {
  check(options);
  if (!std::filesystem::is_regular_file(file)) fail(Status::bad_file, file.string(), ": no such file");
  static std::once_flag once;
  std::call_once(once, llama_backend_init);
  if (options.messages == Messages::none) llama_log_set(say_nothing, nullptr);
  llama_model_params params = llama_model_default_params();
  std::shared_ptr<llama_model> model(llama_model_load_from_file(file.c_str(), params), llama_model_free);
  if (model == nullptr)
    fail(Status::bad_file, file.string(), ": llama.cpp cannot load it; expected a GGUF file of a model");
  return GgufModel(std::move(model), options);
}

GgufModel::GgufModel(std::shared_ptr<llama_model> model, const GgufOptions& options)
    : model_(std::move(model)),
      context_(make_context(model_.get(), options)),
      vocabulary_(model_.get()),
      options_(options) {}

GgufModel GgufModel::with_own_cells() const { return GgufModel(model_, options_); }

void GgufModel::FreeContext::operator()(llama_context* context) const noexcept { llama_free(context); }

}  // namespace anabranch::llama
