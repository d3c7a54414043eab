// PNG by libpng. The library reports errors by longjmp, which runs no destructors: every function
// that it may jump out of holds plain data only, and what owns memory lives in the caller's Reader
// or Writer.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "image/codec.h"
#include "image/exif.h"
#include "image/formats.h"

namespace vista {
namespace {

// What a chunk other than the pixels may unpack to, and how many such chunks may be kept.
constexpr png_alloc_size_t kMostChunkBytes = 8 << 20;
constexpr int kMostChunks = 128;
// Signature, length, "IHDR", then width and height.
constexpr std::size_t kWidthAt = 16;
constexpr std::size_t kHeaderSize = 24;

struct Trouble {
  char text[160] = "";
  bool no_memory = false;
};

[[noreturn]] void OnError(png_structp png, png_const_charp text) {
  auto* trouble = static_cast<Trouble*>(png_get_error_ptr(png));
  std::snprintf(trouble->text, sizeof trouble->text, "%s", text);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

// The library has no code for a failed allocation, and several texts.
png_voidp Allocate(png_structp png, png_alloc_size_t size) {
  void* data = std::malloc(size);
  if (data == nullptr) static_cast<Trouble*>(png_get_mem_ptr(png))->no_memory = true;
  return data;
}

void Free(png_structp, png_voidp data) { std::free(data); }

struct Source {
  const std::uint8_t* next;
  std::size_t left;
};

void ReadFrom(png_structp png, png_bytep to, std::size_t size) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (size > source->left) png_error(png, "the data ends too early");
  std::memcpy(to, source->next, size);
  source->next += size;
  source->left -= size;
}

struct Reader {
  Trouble trouble;
  Source source;
  png_structp png;
  png_infop info;

  explicit Reader(std::span<const std::uint8_t> encoded)
      : source{encoded.data(), encoded.size()},
        png(png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &trouble, OnError, OnWarning, &trouble,
                                     Allocate, Free)),
        info(png != nullptr ? png_create_info_struct(png) : nullptr) {}
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
};

// Reads up to the pixels and asks for 8-bit RGB, or RGBA where anything may be transparent.
bool ReadHeader(Reader* reader) {
  png_structp png = reader->png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_user_limits(png, kMaxSide, kMaxSide);
  png_set_chunk_malloc_max(png, kMostChunkBytes);
  png_set_chunk_cache_max(png, kMostChunks);
  png_set_read_fn(png, &reader->source, ReadFrom);
  png_read_info(png, reader->info);
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, reader->info);
  return true;
}

bool ReadRows(Reader* reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader->png))) return false;
  png_read_image(reader->png, rows);
  return true;
}

// Reads what follows the pixels, which may be the EXIF; damage there does not spoil the picture.
void ReadTrailer(Reader* reader) {
  if (setjmp(png_jmpbuf(reader->png))) return;
  png_read_end(reader->png, reader->info);
}

Orientation OrientationOf(Reader* reader) {
  png_uint_32 size = 0;
  png_bytep exif = nullptr;
  if (png_get_eXIf_1(reader->png, reader->info, &size, &exif) == 0 || exif == nullptr)
    return Orientation::kNone;
  return ExifOrientation({exif, size});
}

std::int64_t BigEndian(const std::uint8_t* bytes) {
  return (std::int64_t{bytes[0]} << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3];
}

Status Unreadable(const Reader& reader, std::size_t size) {
  if (reader.trouble.no_memory) return NoMemoryToDecode("the PNG", size);
  return Status::InvalidArgument("the PNG of " + std::to_string(size) +
                                 " bytes can't be decoded (" + reader.trouble.text +
                                 "); give an intact file");
}

void Append(png_structp png, png_bytep data, std::size_t size) {
  auto* out = static_cast<std::string*>(png_get_io_ptr(png));
  try {
    out->append(reinterpret_cast<const char*>(data), size);
    return;
  } catch (const std::bad_alloc&) {
  }
  static_cast<Trouble*>(png_get_error_ptr(png))->no_memory = true;
  png_error(png, "no memory");
}

struct Writer {
  Trouble trouble;
  png_structp png;
  png_infop info;

  Writer()
      : png(png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &trouble, OnError, OnWarning, &trouble,
                                      Allocate, Free)),
        info(png != nullptr ? png_create_info_struct(png) : nullptr) {}
  ~Writer() { png_destroy_write_struct(&png, &info); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
};

bool Write(Writer* writer, const PixelView& pixels, const PngOptions& options, std::string* out) {
  png_structp png = writer->png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_write_fn(png, out, Append, nullptr);
  png_set_compression_level(png, options.level);
  png_set_user_limits(png, kMaxSide, kMaxSide);
  png_set_IHDR(png, writer->info, static_cast<png_uint_32>(pixels.size.width),
               static_cast<png_uint_32>(pixels.size.height), 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, writer->info);
  for (int y = 0; y < pixels.size.height; ++y) png_write_row(png, pixels.row(y));
  png_write_end(png, nullptr);
  return true;
}

}  // namespace

Result<Decoded> DecodePng(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit) {
  if (encoded.size() < kHeaderSize) {
    return Status::InvalidArgument("the PNG ends too early, after " +
                                   std::to_string(encoded.size()) + " bytes; give the whole file");
  }
  const std::int64_t width = BigEndian(encoded.data() + kWidthAt);
  const std::int64_t height = BigEndian(encoded.data() + kWidthAt + 4);
  if (Status status = CheckSize("the PNG", width, height, pixel_limit); !status.ok()) return status;
  const Size size = {static_cast<int>(width), static_cast<int>(height)};

  Reader reader(encoded);
  if (reader.info == nullptr) return NoMemoryToDecode("the PNG", encoded.size());
  if (!ReadHeader(&reader)) return Unreadable(reader, encoded.size());
  const std::size_t channels = png_get_channels(reader.png, reader.info);
  Result<Pixels> result = Pixels::Allocate(size, pixel_limit);
  if (!result.ok()) return result.status();
  Pixels& pixels = result.value();
  std::vector<std::uint8_t> with_alpha(
      channels == 4 ? 4 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height) : 0);
  std::vector<png_bytep> rows(static_cast<std::size_t>(height));
  for (int y = 0; y < size.height; ++y) {
    rows[static_cast<std::size_t>(y)] =
        with_alpha.empty()
            ? pixels.row(y)
            : with_alpha.data() + 4 * static_cast<std::size_t>(width) * static_cast<std::size_t>(y);
  }
  if (!ReadRows(&reader, rows.data())) return Unreadable(reader, encoded.size());
  ReadTrailer(&reader);
  if (!with_alpha.empty())
    FlattenOverWhite(with_alpha.data(), with_alpha.size() / 4, pixels.data());
  return Decoded{std::move(result).value(), OrientationOf(&reader)};
}

Result<std::string> EncodePng(const PixelView& pixels, const PngOptions& options) {
  if (options.level < 0 || options.level > 9) {
    return Status::InvalidArgument("level is " + std::to_string(options.level) +
                                   "; give a number from 0 to 9");
  }
  Writer writer;
  if (writer.info == nullptr) return NoMemoryToEncode(pixels.size);
  std::string out;
  if (!Write(&writer, pixels, options, &out)) {
    if (writer.trouble.no_memory) return NoMemoryToEncode(pixels.size);
    return Status::Internal(std::string("libpng could not encode the image: ") +
                            writer.trouble.text);
  }
  return out;
}

}  // namespace vista
