// A GPU that does its work as late as CUDA allows, so that cuda_device.cu can be tested for what it
// asks of one: in which context, in which order, and what it leaves behind. Work of a stream waits
// until somebody synchronises with it, and then runs in the order in which it was given; what a
// wait for an event needs from another stream runs first. A launch writes its plan's first bytes to
// its output.
//
// For one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "cuda_runtime_api.h"

namespace fake_cuda {

// What was done that must not be: "cudaEventDestroy outside of a context". Empties the list.
std::vector<std::string> TakeWrongs();

// As a program's own: with the context that it has.
cudaStream_t NewStream();
void Give(cudaStream_t stream, std::function<void()> work);
void Run(cudaStream_t stream);
void BeginCapture(cudaStream_t stream);
cudaEvent_t RecordOn(cudaStream_t stream);

// From now on: bytes of the pool in all.
struct Limits {
  std::size_t pool = std::size_t{1} << 40;
  bool launches = true;
  bool host_functions = true;
};
void Limit(const Limits& limits);

// Contexts that the thread is in, and what exists of each.
int Depth();
// Frees what nobody has given back.
void FreeLost();
struct Counts {
  int streams = 0, events = 0, pools = 0, allocations = 0;
  bool operator==(const Counts&) const = default;
};
Counts Existing();

}  // namespace fake_cuda
