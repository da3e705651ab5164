// Forks, joins and commits through the umbrella header; second.cpp includes it too, so anything that is not inline
// shows up as a double definition.
#include <cstdio>
#include <vector>

#include <anabranch/anabranch.hpp>

int visible_after_join(anabranch::KvCache& cache);
#ifdef USE_fmt
bool use_fmt();
#endif
#ifdef USE_eigen
bool use_eigen();
#endif
#ifdef USE_hf
bool use_hf();
#endif
#ifdef USE_simd
bool use_simd();
#endif
#ifdef USE_attention
bool use_attention();
#endif
#ifdef USE_mpi
bool use_mpi();
#endif
#ifdef USE_linear
bool use_linear();
#endif
#ifdef USE_cuda
bool use_cuda();
#endif
#ifdef USE_llama
bool use_llama();
#endif

int main() {
  anabranch::KvCache cache({.n_pages = 16, .page_size = 4});
  const int visible = visible_after_join(cache);
  bool good = visible == 3 + 2 * 2 && cache.snapshot().check().empty();
#ifdef USE_fmt
  good = use_fmt() && good;
#endif
#ifdef USE_eigen
  good = use_eigen() && good;
#endif
#ifdef USE_hf
  good = use_hf() && good;
#endif
#ifdef USE_simd
  good = use_simd() && good;
#endif
#ifdef USE_attention
  good = use_attention() && good;
#endif
#ifdef USE_mpi
  good = use_mpi() && good;
#endif
#ifdef USE_linear
  good = use_linear() && good;
#endif
#ifdef USE_cuda
  good = use_cuda() && good;
#endif
#ifdef USE_llama
  good = use_llama() && good;
#endif
  std::printf("%d tokens visible after the join: %s\n", visible, good ? "good" : "bad");
  return good ? 0 : 1;
}
