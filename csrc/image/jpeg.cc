// JPEG by libjpeg-turbo. The library reports errors by longjmp, which runs no destructors: every
// function that it may jump out of holds plain data only, and what owns memory lives in the
// caller's Session.
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "image/box.h"
#include "image/codec.h"
#include "image/exif.h"
#include "image/formats.h"

namespace vista {
namespace {

// A progressive file may hold any number of scans, each of which costs a pass over the whole
// picture.
constexpr int kMostScans = 256;

struct ErrorTrap {
  jpeg_error_mgr manager;  // first, so that the library's pointer to it is a pointer to the trap
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool truncated;
  bool no_memory;
};

ErrorTrap& TrapOf(j_common_ptr codec) { return *reinterpret_cast<ErrorTrap*>(codec->err); }

[[noreturn]] void OnError(j_common_ptr codec) {
  ErrorTrap& trap = TrapOf(codec);
  codec->err->format_message(codec, trap.message);
  trap.no_memory = codec->err->msg_code == JERR_OUT_OF_MEMORY;
  std::longjmp(trap.jump, 1);
}

// Warnings are about damage that the library bridges. Only the end of the data coming too early is
// an error to us.
void OnMessage(j_common_ptr codec, int level) {
  if (level < 0 && codec->err->msg_code == JWRN_JPEG_EOF) TrapOf(codec).truncated = true;
}

void OnProgress(j_common_ptr codec) {
  if (!codec->is_decompressor) return;
  const int scans = reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number;
  if (scans <= kMostScans) return;
  ErrorTrap& trap = TrapOf(codec);
  std::snprintf(trap.message, sizeof trap.message, "more than %d scans", kMostScans);
  std::longjmp(trap.jump, 1);
}

jpeg_error_mgr* Arm(ErrorTrap* trap) {
  jpeg_std_error(&trap->manager);
  trap->manager.error_exit = OnError;
  trap->manager.emit_message = OnMessage;
  trap->message[0] = '\0';
  trap->truncated = false;
  trap->no_memory = false;
  return &trap->manager;
}

struct Decoder {
  jpeg_decompress_struct codec{};
  jpeg_progress_mgr progress{};
  ErrorTrap trap{};

  Decoder() {
    codec.err = Arm(&trap);
    progress.progress_monitor = OnProgress;
  }
  ~Decoder() { jpeg_destroy_decompress(&codec); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

bool ReadHeader(Decoder* decoder, const std::uint8_t* data, std::size_t size) {
  if (setjmp(decoder->trap.jump)) return false;
  jpeg_create_decompress(&decoder->codec);
  decoder->codec.progress = &decoder->progress;
  jpeg_mem_src(&decoder->codec, data, static_cast<unsigned long>(size));
  jpeg_save_markers(&decoder->codec, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&decoder->codec, TRUE);
  return true;
}

bool HasFourChannels(const jpeg_decompress_struct& codec) {
  return codec.jpeg_color_space == JCS_CMYK || codec.jpeg_color_space == JCS_YCCK;
}

// Files with four channels hold inverted ink, as Adobe writes them.
void InkToRgb(const std::uint8_t* from, int pixels, std::uint8_t* to) {
  for (int i = 0; i < pixels; ++i, from += 4, to += 3) {
    const int light = from[3];  // 255 less the black ink
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * light + 128;
      to[c] = static_cast<std::uint8_t>(std::max(light - ((product + (product >> 8)) >> 8), 0));
    }
  }
}

constexpr int kEighths = 8;  // of the full size, in which the inverse transform can scale

// What is read of a stored picture: a box of it at so many eighths of its size.
struct Window {
  int eighths;
  Size scaled;  // of the whole picture
  Box box;      // in the scaled picture

  [[nodiscard]] bool IsWhole() const { return box == Box{0, 0, scaled.width, scaled.height}; }
};

int RoundedUp(int pixels, int eighths) { return (pixels * eighths + kEighths - 1) / kEighths; }

Window WindowOf(Size stored, const Box& box, int eighths) {
  return {eighths,
          {RoundedUp(stored.width, eighths), RoundedUp(stored.height, eighths)},
          {box.left * eighths / kEighths, box.top * eighths / kEighths,
           RoundedUp(box.right, eighths), RoundedUp(box.bottom, eighths)}};
}

// The window at the least scale at which its box still has those pixels.
Window SmallestWindow(Size stored, const Box& box, Size at_least) {
  for (const int eighths : {1, 2, 4}) {
    const Window window = WindowOf(stored, box, eighths);
    const Size size = window.box.size();
    if (size.width >= at_least.width && size.height >= at_least.height) return window;
  }
  return WindowOf(stored, box, kEighths);
}

// Bytes of a row as the library gives it: of the whole width, with ink in a fourth channel.
std::size_t LineBytes(const Window& window, const jpeg_decompress_struct& codec) {
  return static_cast<std::size_t>(window.scaled.width) * (HasFourChannels(codec) ? 4 : 3);
}

// `line` has room for one row, or is null when rows can be read straight to where they go.
bool ReadRows(Decoder* decoder, const Window& window, std::uint8_t* rows, std::size_t stride,
              std::uint8_t* line) {
  if (setjmp(decoder->trap.jump)) return false;
  jpeg_decompress_struct* codec = &decoder->codec;
  const bool has_ink = HasFourChannels(*codec);
  codec->out_color_space = has_ink ? JCS_CMYK : JCS_RGB;
  codec->scale_num = static_cast<unsigned>(window.eighths);
  codec->scale_denom = kEighths;
  jpeg_start_decompress(codec);
  // Chroma is interpolated across the edges of a cut, so some more columns are decoded.
  constexpr int kMargin = 2;
  auto first = static_cast<JDIMENSION>(std::max(window.box.left - kMargin, 0));
  JDIMENSION columns =
      std::min(static_cast<JDIMENSION>(window.box.right + kMargin), codec->output_width) - first;
  if (columns < codec->output_width) jpeg_crop_scanline(codec, &first, &columns);
  if (window.box.top > 0) jpeg_skip_scanlines(codec, static_cast<JDIMENSION>(window.box.top));
  const auto skipped = static_cast<std::size_t>(window.box.left) - first;
  const int width = window.box.size().width;
  const int height = window.box.size().height;
  for (int y = 0; y < height; ++y) {
    std::uint8_t* const to = rows + stride * static_cast<std::size_t>(y);
    JSAMPROW row = line != nullptr ? line : to;
    if (jpeg_read_scanlines(codec, &row, 1) != 1 || line == nullptr) continue;
    if (has_ink) {
      InkToRgb(line + 4 * skipped, width, to);
    } else {
      std::memcpy(to, line + 3 * skipped, 3 * static_cast<std::size_t>(width));
    }
  }
  return true;
}

Orientation OrientationOf(const jpeg_decompress_struct& codec) {
  for (const jpeg_marker_struct* marker = codec.marker_list; marker != nullptr;
       marker = marker->next) {
    const std::span<const std::uint8_t> data(marker->data, marker->data_length);
    if (data.size() >= 6 && std::memcmp(data.data(), "Exif\0\0", 6) == 0)
      return ExifOrientation(data);
  }
  return Orientation::kNone;
}

Result<Window> WantedWindow(Size stored, Orientation orientation, const DecodeOptions& options) {
  Box box = {0, 0, stored.width, stored.height};
  if (options.region) {
    const Result<Box> upright = ResolveBox(*options.region, OrientedSize(stored, orientation));
    if (!upright.ok()) return upright.status();
    box = StoredBox(upright.value(), stored, orientation);
  }
  if (!options.at_least) return WindowOf(stored, box, kEighths);
  return SmallestWindow(stored, box, OrientedSize(*options.at_least, orientation));
}

Status Unreadable(const Decoder& decoder, std::size_t size) {
  if (decoder.trap.no_memory) return NoMemoryToDecode("the JPEG", size);
  const std::string bytes = std::to_string(size) + " bytes";
  if (decoder.trap.truncated) {
    return Status::InvalidArgument("the JPEG ends too early, after " + bytes +
                                   "; give the whole file");
  }
  return Status::InvalidArgument("the JPEG of " + bytes + " can't be decoded (" +
                                 decoder.trap.message + "); give an intact file");
}

// Where the encoded bytes go. The library's own leaves a pointer to freed memory behind when it
// finds none for more.
struct Destination {
  jpeg_destination_mgr manager;  // first, as in ErrorTrap
  JOCTET* data;
  std::size_t capacity;
};

constexpr std::size_t kFirstCapacity = std::size_t{64} << 10;

void Grow(j_compress_ptr codec, std::size_t capacity) {
  auto* to = reinterpret_cast<Destination*>(codec->dest);
  void* const grown = std::realloc(to->data, capacity);
  if (grown == nullptr) ERREXIT1(codec, JERR_OUT_OF_MEMORY, 0);
  const std::size_t written = to->capacity;
  to->data = static_cast<JOCTET*>(grown);
  to->capacity = capacity;
  to->manager.next_output_byte = to->data + written;
  to->manager.free_in_buffer = capacity - written;
}

void BeginOutput(j_compress_ptr codec) { Grow(codec, kFirstCapacity); }

boolean ContinueOutput(j_compress_ptr codec) {
  Grow(codec, 2 * reinterpret_cast<Destination*>(codec->dest)->capacity);
  return TRUE;
}

void EndOutput(j_compress_ptr) {}

struct Encoder {
  jpeg_compress_struct codec{};
  ErrorTrap trap{};
  Destination to{};

  Encoder() {
    codec.err = Arm(&trap);
    to.manager.init_destination = BeginOutput;
    to.manager.empty_output_buffer = ContinueOutput;
    to.manager.term_destination = EndOutput;
  }
  ~Encoder() {
    jpeg_destroy_compress(&codec);
    std::free(to.data);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
};

bool Write(Encoder* encoder, const PixelView& pixels, const JpegOptions& options) {
  if (setjmp(encoder->trap.jump)) return false;
  jpeg_compress_struct* codec = &encoder->codec;
  jpeg_create_compress(codec);
  codec->dest = &encoder->to.manager;
  codec->image_width = static_cast<JDIMENSION>(pixels.size.width);
  codec->image_height = static_cast<JDIMENSION>(pixels.size.height);
  codec->input_components = 3;
  codec->in_color_space = JCS_RGB;
  jpeg_set_defaults(codec);
  jpeg_set_quality(codec, options.quality, TRUE);
  codec->comp_info[0].h_samp_factor = options.subsampling == Subsampling::k444 ? 1 : 2;
  codec->comp_info[0].v_samp_factor = options.subsampling == Subsampling::k420 ? 2 : 1;
  jpeg_start_compress(codec, TRUE);
  while (codec->next_scanline < codec->image_height) {
    auto* row = const_cast<JSAMPROW>(pixels.row(static_cast<int>(codec->next_scanline)));
    jpeg_write_scanlines(codec, &row, 1);
  }
  jpeg_finish_compress(codec);
  return true;
}

}  // namespace

Result<Decoded> DecodeJpeg(std::span<const std::uint8_t> encoded, const DecodeOptions& options) {
  Decoder decoder;
  if (!ReadHeader(&decoder, encoded.data(), encoded.size()))
    return Unreadable(decoder, encoded.size());
  const jpeg_decompress_struct& codec = decoder.codec;
  if (Status status =
          CheckSize("the JPEG", codec.image_width, codec.image_height, options.pixel_limit);
      !status.ok()) {
    return status;
  }
  const Size size = {static_cast<int>(codec.image_width), static_cast<int>(codec.image_height)};
  const Orientation orientation = OrientationOf(codec);
  const Result<Window> window = WantedWindow(size, orientation, options);
  if (!window.ok()) return window.status();
  Result<Pixels> pixels = Pixels::Allocate(window.value().box.size(), options.pixel_limit);
  if (!pixels.ok()) return pixels.status();
  const bool direct = window.value().IsWhole() && !HasFourChannels(codec);
  std::vector<std::uint8_t> line(direct ? 0 : LineBytes(window.value(), codec));
  const bool read = ReadRows(&decoder, window.value(), pixels.value().data(),
                             pixels.value().stride(), direct ? nullptr : line.data());
  if (!read || decoder.trap.truncated) return Unreadable(decoder, encoded.size());
  return Decoded{std::move(pixels).value(), orientation, options.region.has_value()};
}

Result<std::string> EncodeJpeg(const PixelView& pixels, const JpegOptions& options) {
  if (options.quality < 1 || options.quality > 100) {
    return Status::InvalidArgument("quality is " + std::to_string(options.quality) +
                                   "; give a number from 1 to 100");
  }
  if (std::max(pixels.size.width, pixels.size.height) > JPEG_MAX_DIMENSION) {
    return Status::InvalidArgument("a JPEG holds at most " + std::to_string(JPEG_MAX_DIMENSION) +
                                   " pixels a side, not " + std::to_string(pixels.size.width) +
                                   " x " + std::to_string(pixels.size.height) +
                                   "; resize it or encode a PNG");
  }
  Encoder encoder;
  if (!Write(&encoder, pixels, options)) {
    if (encoder.trap.no_memory) return NoMemoryToEncode(pixels.size);
    return Status::Internal(std::string("libjpeg could not encode the image: ") +
                            encoder.trap.message);
  }
  try {
    return std::string(reinterpret_cast<const char*>(encoder.to.data),
                       encoder.to.capacity - encoder.to.manager.free_in_buffer);
  } catch (const std::bad_alloc&) {
    return NoMemoryToEncode(pixels.size);
  }
}

}  // namespace vista
