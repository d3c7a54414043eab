// A GPU's primary context, which all libraries of a process share, and being in it for a while. For
// the host's side of device code; includes CUDA.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <string>

#include "base/status.h"

namespace vista::cuda {

class PrimaryContext {
 public:
  // Makes it where there is none yet; it stays. Error: kInternal.
  static Result<PrimaryContext> Of(int index) {
    PrimaryContext context;
    decltype(cuInit)* init = nullptr;
    decltype(cuDeviceGet)* get = nullptr;
    decltype(cuDevicePrimaryCtxRetain)* retain = nullptr;
    if (!Find("cuInit", &init) || !Find("cuDeviceGet", &get) ||
        !Find("cuDevicePrimaryCtxRetain", &retain) || !Find("cuCtxPushCurrent", &context.push_) ||
        !Find("cuCtxPopCurrent", &context.pop_)) {
      return Status::Internal(
          "CUDA's driver was not found, or lacks a function; install a newer one");
    }
    CUdevice device = 0;
    CUresult error = init(0);
    if (error == CUDA_SUCCESS) error = get(&device, index);
    if (error == CUDA_SUCCESS) error = retain(&context.handle_, device);
    if (error != CUDA_SUCCESS) {
      return Status::Internal("CUDA's driver gives no context on cuda:" + std::to_string(index) +
                              " (its error " + std::to_string(error) + "); check nvidia-smi");
    }
    return context;
  }

  // The thread is in the context for the life of this, and then where it was, with none of the
  // errors that calls have left unread. cudaSetDevice would make a context on the GPU that the
  // thread goes back to. What other threads capture in graphs forbids nothing here meanwhile, as
  // nothing here is theirs.
  class Scope {
   public:
    explicit Scope(const PrimaryContext& context)
        : pop_(context.push_(context.handle_) == CUDA_SUCCESS ? context.pop_ : nullptr) {
      static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_));
    }
    ~Scope() {
      static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_));
      if (pop_ == nullptr) return;
      static_cast<void>(cudaGetLastError());
      CUcontext popped = nullptr;
      static_cast<void>(pop_(&popped));
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    decltype(cuCtxPopCurrent)* const pop_;
    cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;  // then the thread's own
  };

 private:
  PrimaryContext() = default;

  // The library must load where there is no driver, so it is not linked with it.
  template <typename Function>
  static bool Find(const char* name, Function** function) {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result;
#if CUDART_VERSION >= 12050
    constexpr unsigned kVersion = 12000;
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion(name, &found, kVersion, cudaEnableDefault, &result);
#else
    const cudaError_t error = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result);
#endif
    static_cast<void>(cudaGetLastError());
    *function = reinterpret_cast<Function*>(found);
    return error == cudaSuccess && found != nullptr;
  }

  CUcontext handle_ = nullptr;
  decltype(cuCtxPushCurrent)* push_ = nullptr;
  decltype(cuCtxPopCurrent)* pop_ = nullptr;
};

}  // namespace vista::cuda
