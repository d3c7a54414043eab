#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "dlpack.h"
#include "errors.h"
#include "gil.h"
#include "image/codec.h"
#include "image/image.h"
#include "image/pack.h"

namespace py = pybind11;

namespace vista::python {
namespace {

using ImagePtr = std::shared_ptr<Image>;  // pybind11's holder; nothing changes an Image through it

ImagePtr Held(Image::Ref image) { return std::const_pointer_cast<Image>(std::move(image)); }

std::span<const std::uint8_t> BytesOf(const py::bytes& bytes) {
  const std::string_view view(bytes);
  return {reinterpret_cast<const std::uint8_t*>(view.data()), view.size()};
}

ImagePtr DecodeBytes(const py::bytes& encoded, std::int64_t pixel_limit,
                     const std::optional<std::string>& hash,
                     const std::optional<std::array<double, 4>>& region,
                     const std::optional<std::pair<int, int>>& at_least) {
  const std::span<const std::uint8_t> view = BytesOf(encoded);
  DecodeOptions options = {.pixel_limit = pixel_limit, .region = region};
  if (at_least) {
    const auto [width, height] = *at_least;
    if (Status status = CheckSize("at_least", width, height); !status.ok()) Raise(status);
    options.at_least = Size{width, height};
  }
  if (hash) options.hash = ValueOrRaise(ImageHash::FromHex(*hash));
  Result<Image::Ref> image = [&] {
    const GilReleased release;
    return Decode(view, options);
  }();
  return Held(ValueOrRaise(std::move(image)));
}

std::string TextOf(const py::handle& object) { return py::str(object).cast<std::string>(); }

ImagePtr FromArray(const py::array& array) {
  const bool is_bytes = array.dtype().kind() == 'u' && array.itemsize() == 1;
  if (!is_bytes || array.ndim() != 3 || array.shape(2) != 3) {
    Raise(Status::InvalidArgument(
        "an array of dtype " + TextOf(array.dtype()) + " and shape " + TextOf(array.attr("shape")) +
        " is no image; give uint8 [height, width, 3] in the order red, green, blue"));
  }
  if (Status status = CheckSize("the array", array.shape(1), array.shape(0)); !status.ok())
    Raise(status);
  const Size size = {static_cast<int>(array.shape(1)), static_cast<int>(array.shape(0))};
  Pixels pixels = ValueOrRaise(Pixels::Allocate(size));
  const auto* data = static_cast<const std::uint8_t*>(array.data());
  const auto [down, along, deep] = std::array{array.strides(0), array.strides(1), array.strides(2)};
  const GilReleased release;
  for (int y = 0; y < size.height; ++y) {
    const std::uint8_t* from = data + y * down;
    std::uint8_t* to = pixels.row(y);
    if (deep == 1 && along == 3) {
      std::memcpy(to, from, pixels.stride());
      continue;
    }
    for (int x = 0; x < size.width; ++x, from += along) {
      for (int c = 0; c < 3; ++c) *to++ = from[c * deep];
    }
  }
  return Held(Image::Create(std::move(pixels)));
}

// The Arrow C data interface's array, https://arrow.apache.org/docs/format/CDataInterface.html.
struct ArrowArray {
  std::int64_t length;
  std::int64_t null_count;
  std::int64_t offset;
  std::int64_t n_buffers;
  std::int64_t n_children;
  const void** buffers;
  ArrowArray** children;
  ArrowArray* dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};

// Pillow's own memory of an RGB image, four bytes a pixel, without a copy; none where its rows lie
// in several blocks or Pillow is older than 11.2. The capsules keep it alive.
std::optional<py::tuple> PillowMemory(const py::object& image) {
  image.attr("load")();  // what is wrong with the file is its caller's to see
  try {
    return image.attr("__arrow_c_array__")().cast<py::tuple>();
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_AttributeError)) throw;
    return std::nullopt;
  }
}

// The pixels behind it, or null when they are not `count` times four bytes.
const std::uint8_t* QuadsOf(const py::tuple& memory, std::int64_t count) {
  if (memory.size() != 2) return nullptr;
  const auto* array =
      static_cast<const ArrowArray*>(PyCapsule_GetPointer(memory[1].ptr(), "arrow_array"));
  if (array == nullptr) throw py::error_already_set();
  if (array->length != count || array->offset != 0 || array->n_children != 1) return nullptr;
  const ArrowArray& bytes = *array->children[0];
  const bool fits = bytes.length == 4 * count && bytes.offset == 0 && bytes.n_buffers == 2;
  return fits ? static_cast<const std::uint8_t*>(bytes.buffers[1]) : nullptr;
}

// None where the pixels can't be had in one copy.
std::optional<ImagePtr> FromPillow(const py::object& image) {
  const auto mode = image.attr("mode").cast<std::string>();
  if (mode != "RGB") {
    Raise(Status::InvalidArgument("the picture has mode '" + mode.substr(0, 64) +
                                  "'; convert it to RGB first"));
  }
  const auto [width, height] = image.attr("size").cast<std::pair<std::int64_t, std::int64_t>>();
  if (Status status = CheckSize("the picture", width, height); !status.ok()) Raise(status);
  const std::optional<py::tuple> memory = PillowMemory(image);
  const std::uint8_t* quads = memory ? QuadsOf(*memory, width * height) : nullptr;
  if (quads == nullptr) return std::nullopt;
  Pixels pixels =
      ValueOrRaise(Pixels::Allocate({static_cast<int>(width), static_cast<int>(height)}));
  const GilReleased release;
  PackRgb(quads, pixels.bytes() / 3, pixels.data());
  return Held(Image::Create(std::move(pixels)));
}

py::bytes EncodeImage(const Image& image, const std::string& format, int quality,
                      const std::string& subsampling, int level) {
  const bool png = format == "png";
  if (!png && format != "jpeg") {
    Raise(Status::InvalidArgument("format is '" + format + "'; use 'png' or 'jpeg'"));
  }
  const auto chroma = subsampling == "4:4:4"   ? std::optional(Subsampling::k444)
                      : subsampling == "4:2:2" ? std::optional(Subsampling::k422)
                      : subsampling == "4:2:0" ? std::optional(Subsampling::k420)
                                               : std::nullopt;
  if (!chroma) {
    Raise(Status::InvalidArgument("subsampling is '" + subsampling +
                                  "'; use '4:4:4', '4:2:2' or '4:2:0'"));
  }
  Result<std::string> encoded = [&] {
    const GilReleased release;
    return png ? EncodePng(image.view(), {level}) : EncodeJpeg(image.view(), {quality, *chroma});
  }();
  return ValueOrRaise(std::move(encoded));
}

py::buffer_info Buffer(const Image& image) {
  return py::buffer_info(
      const_cast<std::uint8_t*>(image.data()), 1, py::format_descriptor<std::uint8_t>::format(), 3,
      {image.height(), image.width(), 3}, {3 * image.width(), 3, 1}, /*readonly=*/true);
}

std::string HashOf(const Image& image) {
  const GilReleased release;
  return image.hash().Hex();
}

// numpy asks for an array of a dtype, and with copy=False for one that shares memory.
py::object AsArray(const py::object& self, const py::object& dtype,
                   const std::optional<bool>& copy) {
  const py::module_ numpy = py::module_::import("numpy");
  py::object view = numpy.attr("frombuffer")(self, numpy.attr("uint8"))
                        .attr("reshape")(self.attr("height"), self.attr("width"), 3);
  const bool converts = !dtype.is_none() && !numpy.attr("dtype")(dtype).equal(view.attr("dtype"));
  if (converts && copy == false) {
    throw py::value_error("an Image can't be seen as " + TextOf(dtype) +
                          " without a copy; leave copy=False out");
  }
  if (converts) return view.attr("astype")(dtype);
  return copy == true ? view.attr("copy")() : view;
}

py::object ToPil(const py::object& self) {
  const auto& image = self.cast<const Image&>();
  if (py::module_::import("importlib.util").attr("find_spec")("PIL").is_none()) {
    const py::object error = py::module_::import("vista_fast.errors").attr("MissingExtraError");
    PyErr_SetString(error.ptr(), "Pillow is not installed; pip install 'vista-fast[tasks]'");
    throw py::error_already_set();
  }
  return py::module_::import("PIL.Image")
      .attr("frombuffer")("RGB", py::make_tuple(image.width(), image.height()), self, "raw", "RGB",
                          0, 1);
}

py::capsule Dlpack(const ImagePtr& image, const py::object& stream,
                   const std::optional<std::pair<int, int>>& version,
                   const std::optional<std::pair<int, int>>& device,
                   const std::optional<bool>& copy) {
  if (!stream.is_none()) throw py::buffer_error("an Image lies on the CPU; pass stream=None");
  if (device && device->first != 1)
    throw py::buffer_error("an Image lies on the CPU; copy it to the device afterwards");
  const bool versioned = version && version->first >= 1;
  if (!versioned && copy == false) {
    throw py::buffer_error(
        "an Image is read-only, which only DLPack 1.0 can say; leave copy=False out");
  }
  // Some consumers (torch) take DLPack 1.0 and write to read-only memory all the same, so memory is
  // shared on demand only.
  const auto form = copy == false ? DlpackForm::kVersionedShared
                    : versioned   ? DlpackForm::kVersionedCopy
                                  : DlpackForm::kCopy;
  return ToDlpack(image, form);
}

py::tuple Pickle(const Image& image) {
  const std::span pixels(
      reinterpret_cast<const char*>(image.data()),
      3 * static_cast<std::size_t>(image.width()) * static_cast<std::size_t>(image.height()));
  return py::make_tuple(image.width(), image.height(), HashOf(image),
                        py::bytes(pixels.data(), pixels.size()));
}

// The hash travels along, because pixels alone don't tell the encoded bytes that it may be of.
ImagePtr Unpickle(const py::tuple& state) {
  if (state.size() != 4) Raise(Status::InvalidArgument("the pickle holds no Image"));
  const auto hash = ValueOrRaise(ImageHash::FromHex(state[2].cast<std::string>()));
  const auto stored = state[3].cast<py::bytes>();
  const std::span<const std::uint8_t> bytes = BytesOf(stored);
  Pixels pixels = ValueOrRaise(Pixels::Allocate({state[0].cast<int>(), state[1].cast<int>()}));
  if (bytes.size() != pixels.bytes())
    Raise(Status::InvalidArgument("the pickle of an Image is truncated"));
  std::memcpy(pixels.data(), bytes.data(), bytes.size());
  return Held(Image::Create(std::move(pixels), hash));
}

std::string EncodedHash(const py::bytes& encoded, const std::string& part) {
  const std::string_view bytes(encoded);
  const GilReleased no_gil;
  return HashEncoded({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, part)
      .Hex();
}

std::string Represent(const Image& image) {
  return "<vista_fast.Image " + std::to_string(image.width()) + " x " +
         std::to_string(image.height()) + " " + HashOf(image).substr(0, 8) + ">";
}

}  // namespace

// Object must be bound already.
void BindImage(py::module_& module) {
  py::class_<Image, Object, ImagePtr> image(
      module, "Image", py::buffer_protocol(), py::is_final(),
      "Immutable RGB pixels, uint8 [height, width, 3], and a 128-bit hash. numpy.asarray gives a "
      "read-only view of them without copying. Two Images are equal when their hashes are.");
  image.def_static(
      "decode", &DecodeBytes, py::arg("encoded"), py::kw_only(),
      py::arg("pixel_limit") = kDefaultPixelLimit, py::arg("hash") = py::none(),
      py::arg("region") = py::none(), py::arg("at_least") = py::none(),
      "Decodes a JPEG, PNG or WebP: upright by EXIF, 16 bits cut to 8, transparency over white, of "
      "an animation the first frame. Raises InvalidArgumentError for bytes that can't be decoded "
      "and ResourceExhaustedError, before allocating, for more pixels than pixel_limit (default "
      "178,956,970). `hash` is the Image's own, for those who know it already. `region` (left, "
      "top, "
      "right, bottom) gives that part alone, `at_least` (width, height) a smaller picture that has "
      "still these pixels, where a JPEG can do so by 1/2, 1/4 or 1/8; both save decoding, and both "
      "change the hash to that of the pixels, unless `hash` is given.");
  image.def_static("from_array", &FromArray, py::arg("array"),
                   "Copies a uint8 array [height, width, 3] of any strides.");
  image.def_static("from_pillow", &FromPillow, py::arg("picture"),
                   "Copies a PIL image of mode RGB straight from Pillow's memory, without the GIL; "
                   "None where Pillow does not give it out (before 11.2, or above 16 MiB).");
  image.def_property_readonly("width", &Image::width, "Pixels.");
  image.def_property_readonly("height", &Image::height, "Pixels.");
  image.def_property_readonly("hash", &HashOf,
                              "BLAKE2b-128 in its tree mode as 32 hexadecimal digits: of the "
                              "encoded bytes where there are any, else of shape and pixels.");
  image.def_property_readonly("bytes", &Image::bytes, "Memory that it holds, in bytes.");
  image.def("encode", &EncodeImage, py::arg("format") = "png", py::kw_only(),
            py::arg("quality") = 90, py::arg("subsampling") = "4:2:0", py::arg("level") = 6,
            "Bytes of a PNG (zlib level 0 to 9) or a JPEG (quality 1 to 100; subsampling '4:4:4', "
            "'4:2:2' or '4:2:0').");
  image.def("to_pil", &ToPil, "A PIL image of the same pixels.");
  image.def_buffer(&Buffer);
  image.def("__array__", &AsArray, py::arg("dtype") = py::none(), py::arg("copy") = py::none());
  image.def("__dlpack__", &Dlpack, py::kw_only(), py::arg("stream") = py::none(),
            py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
            py::arg("copy") = py::none());
  image.def("__dlpack_device__", [](const Image&) { return py::make_tuple(1, 0); });
  image.def("__eq__", [](const Image& self, const py::object& other) -> py::object {
    if (!py::isinstance<Image>(other)) return py::reinterpret_borrow<py::object>(Py_NotImplemented);
    return py::bool_(self.hash() == other.cast<const Image&>().hash());
  });
  image.def("__hash__", [](const Image& self) { return py::hash(py::str(HashOf(self))); });
  image.def("__copy__", [](const ImagePtr& self) { return self; });
  image.def(
      "__deepcopy__", [](const ImagePtr& self, const py::object&) { return self; },
      py::arg("memo"));
  image.def("__repr__", &Represent);
  image.def(py::pickle(&Pickle, &Unpickle));
  module.def("encoded_hash", &EncodedHash, py::arg("encoded"), py::arg("part") = "");
}

}  // namespace vista::python
