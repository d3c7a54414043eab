// A library as that of the CUDA kernels, whose device is the host: for the tests in Python.
#include "cuda/device_library.h"
#include "host_device.h"

extern "C"
    __attribute__((visibility("default"))) vista::Result<std::shared_ptr<vista::cuda::Device>>
    vista_open_device_1(int index, std::size_t, std::size_t) {
  if (index != -1) return vista::Status::Internal("there is only the host's memory; open -1");
  return std::shared_ptr<vista::cuda::Device>(std::make_shared<vista::cuda::HostDevice>());
}
