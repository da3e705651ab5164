// Device memory for tests and benches. Every failed call of the runtime throws.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace anabranch::test {

inline void check(cudaError_t result) {
  if (result != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(result));
}

/// Owns `n_bytes` on the device, each 0xff at first: NaN in every floating-point type.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t n_bytes) {
    check(cudaMalloc(&memory_, n_bytes > 0 ? n_bytes : 1));
    check(cudaMemset(memory_, 0xff, n_bytes));
  }
  template <class T>
  explicit DeviceBuffer(const std::vector<T>& from) : DeviceBuffer(from.size() * sizeof(T)) {
    write(from);
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)) {}
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;
  ~DeviceBuffer() { cudaFree(memory_); }

  void* get() const noexcept { return memory_; }
  template <class T>
  void write(const std::vector<T>& from) {
    check(cudaMemcpy(memory_, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  template <class T>
  void read(std::vector<T>& to) const {
    check(cudaMemcpy(to.data(), memory_, to.size() * sizeof(T), cudaMemcpyDeviceToHost));
  }

 private:
  void* memory_ = nullptr;
};

}  // namespace anabranch::test
