// Opening a Device of a shared library: that of the CUDA kernels, which may not be there.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cuda/device.h"

namespace vista::cuda {

// What a library has under the name kOpenDevice; count the name up with every change of Device,
// DeviceMemory, Object and Status. `batch_bytes` is the size of the caller's CropResizeBatch:
// libraries of other versions are refused, not crashed into.
using OpenDeviceFunction = Result<std::shared_ptr<Device>> (*)(int index, std::size_t idle_bytes,
                                                               std::size_t batch_bytes);
inline constexpr const char* kOpenDevice = "vista_open_device_1";

// The device `index` of the library at `path`, which stays loaded. While it has more than
// `idle_bytes` in all, memory that nothing uses goes back to the system. Errors: kNotFound for a
// file that is no such library, kInternal for a device that can't be used.
Result<std::shared_ptr<Device>> OpenDevice(const std::string& path, int index,
                                           std::size_t idle_bytes);

}  // namespace vista::cuda
