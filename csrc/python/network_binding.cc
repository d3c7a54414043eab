// Networks of convolutions, built step by step from Python.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "errors.h"
#include "gil.h"
#include "nn/class_head.h"
#include "nn/network.h"

namespace py = pybind11;

namespace vista::python {
namespace {

using nn::Activation;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Pair = std::array<int, 2>;
using InputTuple = std::tuple<int, int, int, bool>;

void CheckProducts(int products) {
  if (products != 1 && products != 3)
    Raise(Status::InvalidArgument("products must be 1 or 3, got " + std::to_string(products)));
}

void CheckThreads(int threads) {
  constexpr int kMost = 1024;
  if (threads < 1 || threads > kMost)
    Raise(Status::InvalidArgument("threads must be 1 to 1024, got " + std::to_string(threads)));
}

Activation ActivationOf(const std::string& name) {
  if (name == "none") return Activation::kNone;
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "sigmoid") return Activation::kSigmoid;
  Raise(Status::InvalidArgument("activation must be none, relu, gelu or sigmoid, got '" + name +
                                "'"));
}

std::vector<float> Values(const Floats& array) {
  return {array.data(), array.data() + array.size()};
}

// As many as wanted; finite, as an infinite weight turns zeros of the padding into NaN.
std::vector<float> Values(const char* what, const Floats& array, py::ssize_t wanted) {
  if (array.size() != wanted) {
    Raise(Status::InvalidArgument(std::string(what) + " must have " + std::to_string(wanted) +
                                  " numbers, got " + std::to_string(array.size())));
  }
  std::vector<float> values = Values(array);
  for (const float value : values) {
    if (!std::isfinite(value))
      Raise(Status::InvalidArgument(std::string(what) + " must be finite, got " +
                                    std::to_string(value)));
  }
  return values;
}

nn::Window WindowOf(int height, int width, Pair stride,
                    const std::optional<std::array<int, 4>>& pads) {
  constexpr int kLargest = 64;
  nn::Window w;
  w.height = height;
  w.width = width;
  std::tie(w.stride_height, w.stride_width) = std::tie(stride[0], stride[1]);
  w.same_upper = !pads;
  if (pads)
    std::tie(w.top, w.left, w.bottom, w.right) =
        std::tie((*pads)[0], (*pads)[1], (*pads)[2], (*pads)[3]);
  for (const int side : {w.height, w.width, w.stride_height, w.stride_width}) {
    if (side < 1 || side > kLargest)
      Raise(Status::InvalidArgument("kernels and strides must be 1 to 64, got " +
                                    std::to_string(side)));
  }
  for (const int pad : {w.top, w.left, w.bottom, w.right}) {
    if (pad < 0 || pad > kLargest)
      Raise(Status::InvalidArgument("pads must be 0 to 64, got " + std::to_string(pad)));
  }
  return w;
}

// [outputs, inputs, height, width] as a product takes it: [outputs, height, width, inputs].
nn::PackedWeights Packed(const Floats& weights, const Floats& bias, const std::string& activation,
                         int products, bool interleaved) {
  if (weights.ndim() != 4 || weights.size() == 0)
    Raise(Status::InvalidArgument("weights must be [outputs, inputs, height, width], got " +
                                  std::to_string(weights.ndim()) + " dimensions"));
  const auto outputs = weights.shape(0);
  const auto inputs = weights.shape(1);
  const auto height = weights.shape(2);
  const auto width = weights.shape(3);
  constexpr py::ssize_t kMost = 1 << 20;
  if (outputs > kMost || inputs * height * width > kMost)
    Raise(Status::InvalidArgument("weights must have at most 2^20 outputs and inputs of each"));
  std::vector<float> ordered;
  ordered.reserve(weights.size());
  Values("weights", weights, weights.size());
  const auto at = weights.unchecked<4>();
  for (py::ssize_t o = 0; o < outputs; ++o)
    for (py::ssize_t y = 0; y < height; ++y)
      for (py::ssize_t x = 0; x < width; ++x)
        for (py::ssize_t i = 0; i < inputs; ++i) ordered.push_back(at(o, i, y, x));
  return ValueOrRaise(
      nn::PackedWeights::Make(ordered.data(), static_cast<int>(outputs), static_cast<int>(height),
                              static_cast<int>(width * inputs), Values("bias", bias, outputs),
                              ActivationOf(activation), products, interleaved));
}

int AddConvolution(nn::Network& network, const std::vector<InputTuple>& inputs,
                   const Floats& weights, const Floats& bias, const std::string& activation,
                   Pair stride, const std::optional<std::array<int, 4>>& pads,
                   const std::optional<std::tuple<Floats, Floats, std::string>>& second,
                   bool residual, int scale, int plus, int plus_upsampling, int products) {
  CheckProducts(products);
  nn::PackedWeights first = Packed(weights, bias, activation, products, false);
  std::optional<nn::PackedWeights> chained;
  if (second) {
    const auto& [more, shift, then] = *second;
    chained = Packed(more, shift, then, products, true);
    if (more.shape(1) != weights.shape(0) || more.shape(2) != 1 || more.shape(3) != 1)
      Raise(Status::InvalidArgument("second weights must be 1 x 1 over the first's outputs"));
  }
  nn::Convolution step{{},
                       WindowOf(static_cast<int>(weights.shape(2)),
                                static_cast<int>(weights.shape(3)), stride, pads),
                       std::move(first),
                       std::move(chained),
                       residual,
                       scale,
                       plus,
                       plus_upsampling,
                       products};
  for (const auto& [tensor, gate, upsampling, pooled] : inputs) {
    if (upsampling < 0 || upsampling > 8)
      Raise(Status::InvalidArgument("upsampling must be 0 to 8 doublings, got " +
                                    std::to_string(upsampling)));
    step.inputs.push_back({tensor, gate, upsampling, pooled});
  }
  return ValueOrRaise(network.Add(std::move(step)));
}

int AddDepthwise(nn::Network& network, int input, const Floats& weights, const Floats& bias,
                 bool relu, Pair stride, const std::optional<std::array<int, 4>>& pads) {
  if (weights.ndim() != 3 || weights.size() == 0)
    Raise(Status::InvalidArgument("weights must be [channels, height, width], got " +
                                  std::to_string(weights.ndim()) + " dimensions"));
  const auto channels = static_cast<int>(weights.shape(0));
  const auto taps = static_cast<int>(weights.shape(1) * weights.shape(2));
  const int pitch = (channels + nn::kLanes - 1) / nn::kLanes * nn::kLanes;
  const std::vector<float> values = Values("weights", weights, weights.size());
  nn::Depthwise step;
  step.input = input;
  step.window = WindowOf(static_cast<int>(weights.shape(1)), static_cast<int>(weights.shape(2)),
                         stride, pads);
  step.channels = channels;
  step.weights.resize(static_cast<std::size_t>(taps) * pitch);
  for (int c = 0; c < channels; ++c)
    for (int tap = 0; tap < taps; ++tap)
      step.weights[static_cast<std::size_t>(tap) * pitch + c] =
          values[static_cast<std::size_t>(c) * taps + tap];
  step.bias = Values("bias", bias, channels);
  step.bias.resize(pitch, 0);
  step.relu = relu;
  return ValueOrRaise(network.Add(std::move(step)));
}

int AddGate(nn::Network& network, int of, const Floats& first, const Floats& first_bias,
            const Floats& second, const Floats& second_bias, float slope, float offset,
            float raise) {
  if (first.ndim() != 2 || second.ndim() != 2 || second.shape(1) != first.shape(0))
    Raise(Status::InvalidArgument("weights must be [inner, inputs] and [channels, inner]"));
  nn::Gate step;
  step.of = of;
  step.inner = static_cast<int>(first.shape(0));
  step.channels = static_cast<int>(second.shape(0));
  step.first = Values("first", first, first.size());
  step.first_bias = Values("first_bias", first_bias, step.inner);
  step.second = Values("second", second, second.size());
  step.second_bias = Values("second_bias", second_bias, step.channels);
  step.slope = slope;
  step.offset = offset;
  step.raise = raise;
  return ValueOrRaise(network.Add(std::move(step)));
}

py::array_t<float> Run(const nn::Network& network, const Floats& images, int threads) {
  if (images.ndim() != 4 || images.shape(1) != network.input_channels() || images.shape(0) < 1 ||
      images.shape(0) > std::numeric_limits<std::int16_t>::max() ||
      std::max(images.shape(2), images.shape(3)) > std::numeric_limits<std::int16_t>::max())
    Raise(Status::InvalidArgument("images must be float32 [n, " +
                                  std::to_string(network.input_channels()) +
                                  ", height, width] with sides of at most 32767"));
  CheckThreads(threads);
  const nn::Extent extent = {static_cast<int>(images.shape(2)), static_cast<int>(images.shape(3))};
  const nn::Extent size = ValueOrRaise(network.OutputExtent(extent));
  py::array_t<float> out({images.shape(0), static_cast<py::ssize_t>(network.output_channels()),
                          static_cast<py::ssize_t>(size.height),
                          static_cast<py::ssize_t>(size.width)});
  float* const to = out.mutable_data();
  const Status status = [&] {
    const GilReleased release;
    return network.Run(images.data(), static_cast<int>(images.shape(0)), extent, to, threads);
  }();
  if (!status.ok()) Raise(status);
  return out;
}

const nn::Kernels& KernelsOf(const std::string& name) {
  const nn::Kernels* usable[2] = {};
  const int count = nn::UsableKernels(usable);
  for (int i = 0; i < count; ++i)
    if (name == usable[i]->name || (name.empty() && i + 1 == count)) return *usable[i];
  Raise(Status::InvalidArgument("this CPU has no " +
                                (name.empty() ? "AVX-512 BF16" : "'" + name + "'") +
                                "; use OpenVINO's own kernels"));
}

nn::ClassHead MakeHead(const Floats& weights, const Floats& bias, int products,
                       const std::string& kernels) {
  constexpr py::ssize_t kMost = 1 << 20;
  if (weights.ndim() != 2 || weights.size() == 0 ||
      std::max(weights.shape(0), weights.shape(1)) > kMost)
    Raise(Status::InvalidArgument("weights must be [classes, depth] of at most 2^20 each"));
  CheckProducts(products);
  const auto classes = static_cast<int>(weights.shape(0));
  return ValueOrRaise(nn::ClassHead::Make(Values("weights", weights, weights.size()).data(),
                                          classes, static_cast<int>(weights.shape(1)),
                                          Values("bias", bias, classes), products,
                                          KernelsOf(kernels)));
}

py::tuple Classified(const nn::ClassHead& head, const Floats& rows, std::int64_t ignored,
                     int threads) {
  constexpr py::ssize_t kMostRows = 1 << 24;
  if (rows.ndim() != 2 || rows.shape(1) != head.depth() || rows.shape(0) > kMostRows)
    Raise(Status::InvalidArgument("rows must be float32 [at most 2^24, " +
                                  std::to_string(head.depth()) + "]"));
  CheckThreads(threads);
  py::array_t<std::int64_t> classes(rows.shape(0));
  py::array_t<float> probabilities(rows.shape(0));
  std::int64_t* const to = classes.mutable_data();
  float* const likely = probabilities.mutable_data();
  const auto count = static_cast<int>(rows.shape(0));
  const Status status = [&] {
    const GilReleased release;
    return count == 0 ? Status() : head.Run(rows.data(), count, ignored, threads, to, likely);
  }();
  if (!status.ok()) Raise(status);
  return py::make_tuple(classes, probabilities);
}

std::vector<std::string> KernelNames() {
  const nn::Kernels* usable[2] = {};
  const int count = nn::UsableKernels(usable);
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.emplace_back(usable[i]->name);
  return names;
}

}  // namespace

void BindNetwork(py::module_& module) {
  using py::arg;
  module.def("network_kernels", &KernelNames,
             "The instruction sets of this CPU that run a ConvolutionNetwork, \"avx512_bf16\" and "
             "\"amx\", the fastest last.");
  py::class_<nn::Network>(
      module, "ConvolutionNetwork",
      "A network of convolutions over float32 images, on a CPU with AVX-512 BF16, best with AMX. "
      "Steps are added one by one and give the index of the tensor that they make; 0 is the input. "
      "Then it runs from any thread; calls at the same time share the threads. With 3 products a "
      "float32 is a sum of two bfloat16, and what is multiplied is off by 2^-16 of itself at most; "
      "with 1 it is one "
      "bfloat16. Sums are float32. What does not fit raises InvalidArgumentError.")
      .def(
          py::init([](int channels, const std::string& kernels) {
            constexpr int kMost = 1 << 16;
            if (channels < 1 || channels > kMost)
              Raise(Status::InvalidArgument("channels must be 1 to 65536, got " +
                                            std::to_string(channels)));
            return nn::Network(channels, KernelsOf(kernels));
          }),
          arg("channels"), arg("kernels") = "",
          "For images of so many channels; kernels, one of network_kernels(), default the fastest.")
      .def(
          "convolution", &AddConvolution, arg("inputs"), arg("weights"), arg("bias"), py::kw_only(),
          arg("activation") = "none", arg("stride") = Pair{1, 1},
          arg("pads") = std::array<int, 4>{0, 0, 0, 0}, arg("second") = py::none(),
          arg("residual") = false, arg("scale") = -1, arg("plus") = -1, arg("plus_upsampling") = 0,
          arg("products") = 3,
          "Inputs, (tensor, gate or -1, doublings of its size, whether of 2 x 2 pixels the largest "
          "counts, at the top left) each, joined along channels; weights [outputs, inputs, height, "
          "width]; pads (top, left, bottom, right), None for as many as keep the size, the odd one "
          "behind; second, (weights, bias, activation) of a 1 x 1 convolution of what comes out. "
          "What comes last is multiplied by scale, a gate, and plus is added, a tensor of "
          "plus_upsampling doublings, or with residual the input, before its activation.")
      .def("depthwise", &AddDepthwise, arg("input"), arg("weights"), arg("bias"), py::kw_only(),
           arg("relu") = false, arg("stride") = Pair{1, 1},
           arg("pads") = std::array<int, 4>{0, 0, 0, 0},
           "A convolution of each channel by itself; weights [channels, height, width].")
      .def("gate", &AddGate, arg("of"), arg("first"), arg("first_bias"), arg("second"),
           arg("second_bias"), py::kw_only(), arg("slope"), arg("offset"), arg("add"),
           "A number for each image and channel, of the means of a tensor: clamp(slope * (second * "
           "relu(first * means + first_bias) + second_bias) + offset, 0, 1) + add.")
      .def(
          "blend",
          [](nn::Network& network, int input, int gate, int other, int upsampling) {
            return ValueOrRaise(network.Add(nn::Blend{input, gate, other, upsampling}));
          },
          arg("input"), py::kw_only(), arg("gate") = -1, arg("other") = -1, arg("upsampling") = 0,
          "input * gate + other, of which each value stands for a square of 2^upsampling pixels.")
      .def(
          "max_pool",
          [](nn::Network& network, int input, Pair kernel, Pair stride,
             const std::optional<std::array<int, 4>>& pads) {
            return ValueOrRaise(
                network.Add(nn::MaxPool{input, WindowOf(kernel[0], kernel[1], stride, pads)}));
          },
          arg("input"), py::kw_only(), arg("kernel"), arg("stride"), arg("pads"))
      .def(
          "depth_to_space",
          [](nn::Network& network, int input, int block) {
            if (block < 1 || block > 16)
              Raise(Status::InvalidArgument("block must be 1 to 16, got " + std::to_string(block)));
            return ValueOrRaise(network.Add(nn::DepthToSpace{input, block}));
          },
          arg("input"), py::kw_only(), arg("block"),
          "Channels (row, column, channel) of block x block pixels, to their places.")
      .def(
          "set_output",
          [](nn::Network& network, int tensor) {
            if (Status status = network.SetOutput(tensor); !status.ok()) Raise(status);
          },
          arg("tensor"), "The tensor that run gives; default: the latest.")
      .def("run", &Run, arg("images"), py::kw_only(), arg("threads"),
           "float32 [n, channels, height, width] to the same of the output, on at most so many "
           "threads, the caller's one of them, without the GIL.");
  py::class_<nn::ClassHead>(
      module, "ClassHead",
      "A linear layer and a softmax over many classes that hand out the likeliest class alone; of "
      "products and kernels as ConvolutionNetwork has them.")
      .def(py::init(&MakeHead), arg("weights"), arg("bias"), py::kw_only(), arg("products") = 3,
           arg("kernels") = "", "weights [classes, depth], bias [classes].")
      .def("run", &Classified, arg("rows"), py::kw_only(), arg("ignored") = -1, arg("threads"),
           "Of float32 [n, depth] the likeliest classes, int64 [n], the first of equal ones, and "
           "their probabilities, float32 [n], 0 for the class ignored; without the GIL.");
}

}  // namespace vista::python
