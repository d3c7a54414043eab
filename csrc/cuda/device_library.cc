#include "cuda/device_library.h"

#include <dlfcn.h>

namespace vista::cuda {

Result<std::shared_ptr<Device>> OpenDevice(const std::string& path, int index,
                                           std::size_t idle_bytes) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const open = library == nullptr ? nullptr : dlsym(library, kOpenDevice);
  if (open == nullptr) {
    const char* const why = dlerror();
    return Status::NotFound(path + " is not the library of this version's CUDA kernels (" +
                            (why == nullptr ? "no reason given" : why) + "); build it again");
  }
  return reinterpret_cast<OpenDeviceFunction>(open)(index, idle_bytes, sizeof(CropResizeBatch));
}

}  // namespace vista::cuda
