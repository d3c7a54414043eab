// One run of a network.
#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <new>
#include <numeric>
#include <string>
#include <utility>

#include "base/buffer.h"
#include "nn/cut.h"
#include "nn/network.h"
#include "nn/scratch.h"
#include "nn/strips.h"
#include "nn/team.h"
#include "nn/tensors.h"

namespace vista::nn {

namespace {

constexpr std::size_t kScratchBytes = 448 << 10;  // of a region, beside its weights in the L2 cache
constexpr int kFlatColumns = 192;
constexpr int kWideColumns = 128;
constexpr int kMostRows = 16;

int PadBefore(int size, int out, int kernel, int stride) {
  return std::max(0, (out - 1) * stride + kernel - size) / 2;
}

// In several sums, which compilers make vectors of.
float Dot(const float* one, const float* other, int count) {
  float sums[16] = {};
  const int whole = count / 16 * 16;
  for (int at = 0; at < whole; at += 16)
    for (int i = 0; i < 16; ++i) sums[i] += one[at + i] * other[at + i];
  float sum = std::accumulate(std::begin(sums), std::end(sums), 0.0F);
  for (int at = whole; at < count; ++at) sum += one[at] * other[at];
  return sum;
}

Status NoMemoryForSums() {
  return {StatusCode::kResourceExhausted, "no memory for a network's sums; free some"};
}

// `run(image, 1, team)` of so many images, by one member each. Nothing is thrown: a helper's thread
// would end the process.
template <typename Run>
Status ForEachAlone(int images, Team& team, const Run& run) {
  std::atomic<bool> no_memory = false;
  std::mutex failing;
  Status failure;
  team.ForEach(images, [&](int image, int /*member*/) {
    try {
      Team one;
      Status status = run(image, 1, one);
      if (status.ok()) return;
      const std::lock_guard lock(failing);
      failure = std::move(status);
    } catch (const std::bad_alloc&) {
      no_memory = true;
    }
  });
  return no_memory ? NoMemoryForSums() : failure;
}

}  // namespace

class Execution {
 public:
  Execution(const Network& network, const float* in, int batch, std::vector<Extent> extents,
            float* out, Team& team)
      : network_(network),
        out_(out),
        batch_(batch),
        extents_(std::move(extents)),
        team_(team),
        tensors_(network, in, out, batch, extents_),
        sums_(extents_.size()),
        gates_(extents_.size()),
        scratch_(team.members()),
        scratch_bytes_(team.members(), 0) {}

  Status Run() {
    if (Status status = tensors_.Take(); !status.ok()) return status;
    const int count = static_cast<int>(extents_.size());
    for (int index = 1; index < count; ++index) {
      tensors_.BeforeStep(index);
      if (tensors_.InStrips(index)) continue;
      if (Status status = Do(index); !status.ok()) return status;
      tensors_.AfterStep(index);
    }
    if (!tensors_.OutputIsPlane()) WriteOut();
    return {};
  }

 private:
  [[nodiscard]] const float* GateData(int gate) const {
    return gate < 0 ? nullptr : gates_[gate].data();
  }

  Status Do(int index) {
    const Step& step = network_.steps_[index - 1];
    if (const auto* const gate = std::get_if<Gate>(&step)) {
      Make(*gate, index);
      return {};
    }
    if (network_.summed_[index])
      sums_[index].assign(
          static_cast<std::size_t>(team_.members()) * batch_ * network_.channels_[index], 0);
    return std::visit([&](const auto& s) { return Make(s, index, tensors_.OutputOf(index)); },
                      step);
  }

  // Where a member of the team sums up channels.
  double* Sums(int index, int member) {
    if (!network_.summed_[index]) return nullptr;
    return sums_[index].data() +
           static_cast<std::size_t>(member) * batch_ * network_.channels_[index];
  }

  Status Make(const Convolution& s, int index, Output out) {
    ConvolveArgs args = ArgsOf(s, index);
    if (IsOfSinglePixels(args)) {
      // An image is one row then.
      args.width *= std::exchange(args.height, 1);
      args.out_width *= std::exchange(args.out_height, 1);
    }
    args.out = out;
    const Cut cut = CutFor(args);
    const std::size_t bytes = LayOut(args, {0, 0, cut.rows, 0, cut.columns}, nullptr).bytes;
    if (Status status = Reserve(bytes); !status.ok()) return status;
    team_.ForEach(cut.tasks(batch_), [&](int task, int member) {
      ConvolveArgs mine = args;
      mine.sums = Sums(index, member);
      network_.kernels_->convolve(mine, cut.At(task, args.out_height, args.out_width),
                                  scratch_[member].get());
    });
    return {};
  }

  [[nodiscard]] ConvolveArgs ArgsOf(const Convolution& s, int index) const {
    const Input& first = s.inputs[0];
    Extent from = extents_[first.tensor];
    from = {from.height << first.upsampling, from.width << first.upsampling};
    ConvolveArgs args;
    Slide(s.window, from, extents_[index], args);
    for (const Input& input : s.inputs) {
      const bool rounded = network_.IsRounded(input.tensor);
      args.parts[args.part_count++] = {rounded ? nullptr : tensors_.Data(input.tensor),
                                       rounded ? tensors_.RoundedData(input.tensor) : nullptr,
                                       GateData(input.gate),
                                       network_.channels_[input.tensor],
                                       input.upsampling,
                                       input.tensor == 0,
                                       input.pooled};
      args.channels += network_.channels_[input.tensor];
    }
    args.first = s.first.View();
    if (s.second) args.second = s.second->View();
    args.residual = s.residual;
    args.scale = GateData(s.scale);
    args.plus = s.plus < 0 ? nullptr : tensors_.Data(s.plus);
    args.plus_upsampling = s.plus_upsampling;
    args.products = s.products;
    return args;
  }

  // Whether an output's place says all about where its inputs are.
  static bool IsOfSinglePixels(const ConvolveArgs& args) {
    bool single = args.kernel_height == 1 && args.kernel_width == 1 && args.stride_height == 1 &&
                  args.stride_width == 1 && args.out_height == args.height &&
                  args.out_width == args.width && args.plus_upsampling == 0;
    for (int p = 0; p < args.part_count; ++p) {
      const Part& part = args.parts[p];
      single = single && part.upsampling == 0 && !part.planes && !part.pooled;
    }
    return single;
  }

  // So much scratch for each member.
  Status Reserve(std::size_t bytes) {
    for (int member = 0; member < team_.members(); ++member) {
      if (scratch_bytes_[member] >= bytes) continue;
      scratch_[member] = AllocateBuffer(bytes);
      if (scratch_[member] == nullptr)
        return {StatusCode::kResourceExhausted, "no memory for a convolution; free some"};
      scratch_bytes_[member] = bytes;
    }
    return {};
  }

  [[nodiscard]] Cut CutFor(const ConvolveArgs& args) const {
    if (args.out_height == 1) {
      // An even number for each member, where an image is all there is.
      const int members = batch_ == 1 ? team_.members() : 1;
      const int shares = CeilDiv(CeilDiv(args.out_width, kFlatColumns), members) * members;
      const int columns = CeilDiv(CeilDiv(args.out_width, shares), 32) * 32;
      return {1, args.out_width, 1, std::min(args.out_width, columns)};
    }
    const int columns = ColumnsOf(args.out_width);
    int rows = 1;
    while (rows < std::min(kMostRows, args.out_height) &&
           LayOut(args, {0, 0, rows + 1, 0, columns}, nullptr).bytes <= kScratchBytes)
      ++rows;
    return {args.out_height, args.out_width, rows, columns};
  }

  // Even shares of whole tiles.
  static int ColumnsOf(int width) {
    const int shares = CeilDiv(width, kWideColumns);
    return std::min(width, CeilDiv(CeilDiv(width, shares), 32) * 32);
  }

  // Bands of rows, a few for each member.
  template <typename Work>
  void ForBands(Extent extent, const Work& work) {
    const int rows = std::max(2, CeilDiv(extent.height, 6 * team_.members()));
    const Cut cut(extent.height, extent.width, std::min(rows, extent.height), extent.width);
    team_.ForEach(cut.tasks(batch_), [&](int task, int member) {
      work(cut.At(task, extent.height, extent.width), member);
    });
  }

  static void Slide(const Window& w, Extent from, Extent to, Sliding& args) {
    args.height = from.height;
    args.width = from.width;
    args.kernel_height = w.height;
    args.kernel_width = w.width;
    args.stride_height = w.stride_height;
    args.stride_width = w.stride_width;
    args.pad_top =
        w.same_upper ? PadBefore(from.height, to.height, w.height, w.stride_height) : w.top;
    args.pad_left =
        w.same_upper ? PadBefore(from.width, to.width, w.width, w.stride_width) : w.left;
    args.out_height = to.height;
    args.out_width = to.width;
  }

  Status Make(const Depthwise& s, int index, Output out) {
    DepthwiseArgs args;
    Slide(s.window, extents_[s.input], extents_[index], args);
    args.channels = s.channels;
    args.weights = s.weights.data();
    args.bias = s.bias.data();
    args.relu = s.relu;
    args.out = out;
    if (tensors_.InStrips(s.input)) return MakeInStrips(args, index);
    args.in = tensors_.Data(s.input);
    ForBands(extents_[index], [&](const Region& region, int member) {
      DepthwiseArgs mine = args;
      mine.sums = Sums(index, member);
      network_.kernels_->depthwise(mine, region);
    });
    return {};
  }

  Status MakeInStrips(const DepthwiseArgs& second, int index) {
    const int between = index - 1;
    const auto& convolution = std::get<Convolution>(network_.steps_[between - 1]);
    const ConvolveArgs first = ArgsOf(convolution, between);
    const Strips strips(*network_.kernels_, first, second, ColumnsOf(first.out_width));
    if (Status status = Reserve(strips.scratch_bytes()); !status.ok()) return status;
    // Few bands: what their first rows read is made again.
    const int members = team_.members();
    const int rows = members == 1 ? second.out_height : CeilDiv(second.out_height, 2 * members);
    const Cut cut(second.out_height, second.out_width, rows, second.out_width);
    team_.ForEach(cut.tasks(batch_), [&](int task, int member) {
      strips.Make(cut.At(task, second.out_height, second.out_width), Sums(index, member),
                  scratch_[member].get());
    });
    return {};
  }

  Status Make(const Blend& s, int index, Output out) {
    BlendArgs args;
    args.in = tensors_.Data(s.input);
    args.gate = GateData(s.gate);
    args.other = s.other < 0 ? nullptr : tensors_.Data(s.other);
    args.upsampling = s.upsampling;
    args.height = extents_[index].height;
    args.width = extents_[index].width;
    args.channels = network_.channels_[index];
    args.out = out.data;
    ForBands(extents_[index],
             [&](const Region& region, int /*member*/) { network_.kernels_->blend(args, region); });
    return {};
  }

  Status Make(const MaxPool& s, int index, Output out) {
    PoolArgs args;
    Slide(s.window, extents_[s.input], extents_[index], args);
    args.in = tensors_.Data(s.input);
    args.channels = network_.channels_[index];
    args.out = out.data;
    ForBands(extents_[index], [&](const Region& region, int /*member*/) {
      network_.kernels_->max_pool(args, region);
    });
    return {};
  }

  Status Make(const DepthToSpace& s, int index, Output out) {
    DepthToSpaceArgs args;
    args.in = tensors_.Data(s.input);
    args.block = s.block;
    args.height = extents_[index].height;
    args.width = extents_[index].width;
    args.channels = network_.channels_[index];
    args.out = out.data;
    ForBands(extents_[index], [&](const Region& region, int /*member*/) {
      network_.kernels_->depth_to_space(args, region);
    });
    return {};
  }

  Status Make(const Gate& /*gate*/, int /*index*/, Output /*out*/) { return {}; }

  void Make(const Gate& s, int index) {
    const int inputs = network_.channels_[s.of];
    const double pixels = static_cast<double>(extents_[s.of].height) * extents_[s.of].width;
    std::vector<float> means(inputs);
    std::vector<float> inner(s.inner);
    gates_[index].resize(static_cast<std::size_t>(batch_) * s.channels);
    for (int image = 0; image < batch_; ++image) {
      for (int c = 0; c < inputs; ++c) {
        double sum = 0;
        for (int member = 0; member < team_.members(); ++member)
          sum += Sums(s.of, member)[static_cast<std::size_t>(image) * inputs + c];
        means[c] = static_cast<float>(sum / pixels);
      }
      for (int i = 0; i < s.inner; ++i) {
        const float* const row = s.first.data() + static_cast<std::size_t>(i) * inputs;
        inner[i] = std::max(0.0F, s.first_bias[i] + Dot(row, means.data(), inputs));
      }
      for (int c = 0; c < s.channels; ++c) {
        const float* const row = s.second.data() + static_cast<std::size_t>(c) * s.inner;
        const float sum = s.second_bias[c] + Dot(row, inner.data(), s.inner);
        gates_[index][static_cast<std::size_t>(image) * s.channels + c] =
            std::clamp(s.slope * sum + s.offset, 0.0F, 1.0F) + s.raise;
      }
    }
  }

  // Whether the output's pixels are what the caller wants of them.
  [[nodiscard]] bool OutputIsPlane() const {
    return network_.output_ > 0 && network_.output_channels() == 1;
  }

  // The output as planes.
  void WriteOut() {
    const int channels = network_.output_channels();
    const Extent extent = extents_[network_.output_];
    const float* const in = tensors_.Data(network_.output_);
    const std::size_t plane = static_cast<std::size_t>(extent.height) * extent.width;
    ForBands(extent, [&](const Region& region, int /*member*/) {
      const float* row =
          in + (static_cast<std::size_t>(region.image) * extent.height + region.row) *
                   extent.width * channels;
      float* to = out_ + static_cast<std::size_t>(region.image) * channels * plane +
                  static_cast<std::size_t>(region.row) * extent.width;
      const int pixels = region.rows * extent.width;
      for (int c = 0; c < channels; ++c)
        for (int i = 0; i < pixels; ++i)
          to[c * plane + i] = row[static_cast<std::size_t>(i) * channels + c];
    });
  }

  const Network& network_;
  float* out_;
  int batch_;
  std::vector<Extent> extents_;
  Team& team_;
  Tensors tensors_;
  std::vector<std::vector<double>> sums_;  // [members, n, channels]
  std::vector<std::vector<float>> gates_;  // [n, channels]
  std::vector<Buffer> scratch_;
  std::vector<std::size_t> scratch_bytes_;
};

Status Network::Run(const float* in, int batch, Extent image, float* out, int threads) const {
  const Result<std::vector<Extent>> extents = Extents(image);
  if (!extents.ok()) return extents.status();
  const auto values = [](Extent extent, int channels) {
    return static_cast<std::size_t>(extent.height) * extent.width * channels;
  };
  const std::size_t in_values = values(image, input_channels());
  const std::size_t out_values = values(extents.value()[output_], output_channels());
  const auto run = [&](int first, int count, Team& team) {
    return Execution(*this, in + first * in_values, count, extents.value(),
                     out + first * out_values, team)
        .Run();
  };
  try {
    return Team::With(threads, [&](Team& team) {
      // An image that one member takes through all steps stays in its core's cache, and waits for
      // nobody; the members share the last ones, which are too few for that.
      const int alone = batch / team.members() * team.members();
      if (Status status = ForEachAlone(alone, team, run); !status.ok() || alone == batch)
        return status;
      return run(alone, batch - alone, team);
    });
  } catch (const std::bad_alloc&) {
    return NoMemoryForSums();
  }
}

}  // namespace vista::nn
