"""Golden values of pictures: files of many kinds with Pillow's pixels, Pillow's resampling, and the Hugging Face processors on 50 pictures.
Run: python tools/goldens/pictures.py   (pillow, numpy, transformers; no torch: the processors' Pillow backend)
It writes tests/golden/pictures.json and the files in tests/golden/pictures/."""
import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
import transformers
from PIL import Image, ImageOps, features
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.image_transforms import convert_to_rgb
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

ROOT = pathlib.Path(__file__).parents[2] / "tests" / "golden"
FILES = ROOT / "pictures"
FILES.mkdir(exist_ok=True)


def formula(width, height, k, channels=3):
    """A picture of integers alone, which the test makes too."""
    y, x, c = np.ogrid[0:height, 0:width, 0:channels]
    value = x * (3 + k % 5) + y * (5 + k % 7) + ((x * (c + 1)) ^ (y * (3 + c))) * (1 + k % 3) + 37 * c + 13 * k
    return (value & 255).astype(np.uint8)


def packed(array):
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()


# files
decoded = {}


def golden(name, data):
    (FILES / name).write_bytes(data)
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    pixels = convert_to_rgb(image, return_numpy=True)
    decoded[name] = {"width": pixels.shape[1], "height": pixels.shape[0], "mode": image.mode, "rgb": packed(pixels)}


def save(name, image, **options):
    buffer = io.BytesIO()
    image.save(buffer, {"jpg": "JPEG"}.get(name.split(".")[-1], name.split(".")[-1].upper()), **options)
    golden(name, buffer.getvalue())
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, extra=(), interlace=0):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    body = b"".join(chunk(kind, data) for kind, data in extra)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


W, H = 29, 21
rgb = Image.fromarray(formula(W, H, 1))
rgba = Image.fromarray(np.concatenate([formula(W, H, 2), formula(W, H, 3, 1)], -1))
smooth = rgb.resize((67, 50), Image.Resampling.BICUBIC)
# JPEG: chroma whole, halved across, halved both ways; sequential and progressive; with restart markers
for subsampling, name in enumerate(["444", "422", "420"]):
    for progressive in (False, True):
        for width, height in ((1, 1), (3, 2), (5, 4), (17, 33), (67, 50)):
            image = smooth.resize((width, height), Image.Resampling.BICUBIC)
            options = {"restart_marker_blocks": 2} if (width + subsampling) % 2 else {}
            kind = "progressive" if progressive else "sequential"
            save(f"{name}-{kind}-{width}x{height}.jpg", image, quality=80, subsampling=subsampling, progressive=progressive, **options)
# other factors, which Pillow does not write: the numbers of the frame header are changed, blocks then mean something else
for name, subsampling, factors in (("440", 1, 0x12), ("411", 2, 0x41), ("114", 2, 0x14)):
    buffer = io.BytesIO()
    smooth.resize((64, 32)).save(buffer, "JPEG", quality=80, subsampling=subsampling)
    data = bytearray(buffer.getvalue())
    data[data.find(b"\xff\xc0") + 11] = factors
    golden(f"{name}-sequential-64x32.jpg", bytes(data))
save("grey.jpg", smooth.convert("L"))
save("grey-progressive.jpg", smooth.convert("L"), progressive=True)
cmyk = save("cmyk.jpg", smooth.convert("CMYK"), quality=85)
save("cmyk-progressive.jpg", smooth.convert("CMYK"), progressive=True)
at = cmyk.find(b"Adobe")
golden("ycck.jpg", cmyk[: at + 11] + b"\x02" + cmyk[at + 12 :])
save("rgb-inside.jpg", smooth, keep_rgb=True)
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x112] = orientation
    save(f"orientation-{orientation}.jpg", smooth.resize((19, 11)), exif=exif)
    save(f"orientation-{orientation}.png", rgb.resize((9, 5)), exif=exif)
    save(f"orientation-{orientation}.webp", rgb.resize((9, 5)), exif=exif, lossless=True)
xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
save("orientation-xmp.jpg", smooth.resize((19, 11)), xmp=xmp)
# PNG
save("rgb.png", rgb)
save("rgba.png", rgba)
save("la.png", rgba.convert("LA"))
save("l.png", rgb.convert("L"))
save("bilevel.png", rgb.convert("1"))
palette = rgb.quantize(20)
save("palette.png", palette)
save("palette-4-bits.png", rgb.quantize(11), bits=4)
save("palette-2-bits.png", rgb.quantize(4), bits=2)
save("palette-transparent.png", palette, transparency=3)
save("palette-alpha.png", palette, transparency=bytes(range(0, 200, 10)))
save("i16.png", Image.fromarray(formula(W, H, 4, 1)[..., 0].astype(np.uint16) * 3))
save("animated.png", rgb, save_all=True, append_images=[smooth.resize((W, H))], duration=50)
words = (np.arange(48) * 1361 % 65536).astype(">u2")
row = lambda n: b"\0" + words[:n].astype(">u2").tobytes()
golden("rgb-48-bits.png", png(4, 2, 16, 2, row(12) + row(12)))
golden("rgba-64-bits.png", png(4, 2, 16, 6, row(16) + row(16)))
golden("la-32-bits.png", png(4, 2, 16, 4, row(8) + row(8)))
grey = lambda value: [(b"tRNS", struct.pack(">H", value))]
for depth, value in ((1, 0), (1, 1), (2, 85), (2, 1), (4, 17), (8, 27)):
    golden(f"l-{depth}-transparent-{value}.png", png(8, 1, depth, 0, b"\0" + bytes([27, 17, 200, 27, 1, 2, 3, 255])[:depth], grey(value)))
golden("i16-transparent.png", png(8, 1, 16, 0, row(8), grey(int(words[2]))))
golden("rgb-transparent.png", png(3, 1, 8, 2, b"\0\1\2\3\4\5\6\1\2\3", [(b"tRNS", struct.pack(">HHH", 1, 2, 3))]))
golden("l-8-transparent-257.png", png(3, 1, 8, 0, b"\0\0\1\xff", grey(257)))
golden("rgb-48-bits-transparent.png", png(4, 2, 16, 2, row(12) + row(12), [(b"tRNS", struct.pack(">HHH", 0, 1, 2))]))
golden("palette-short.png", png(4, 1, 8, 3, b"\0\0\1\2\3", [(b"PLTE", bytes([10, 20, 30, 40, 50, 60]))]))


def adam7(array):
    """Rows of the seven passes, unfiltered."""
    out = b""
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = array[y::dy, x::dx]
        if part.size:
            out += b"".join(b"\0" + line.tobytes() for line in part)
    return out


for width, height in ((1, 1), (3, 5), (29, 21)):
    golden(f"interlaced-{width}x{height}.png", png(width, height, 8, 2, adam7(formula(width, height, 5)), interlace=1))
# WebP
save("lossless.webp", rgb, lossless=True)
save("lossless-alpha.webp", rgba, lossless=True)
save("lossy.webp", smooth, quality=60)
save("lossy-alpha.webp", rgba, quality=60)
save("lossy-odd.webp", smooth.resize((33, 17)), quality=90)
save("animated.webp", rgb, save_all=True, append_images=[smooth.resize((W, H))], duration=50, lossless=True)
save("animated-alpha.webp", rgba, save_all=True, append_images=[rgba.rotate(180)], duration=50, quality=70)
# GIF
save("palette.gif", palette)
save("interlaced.gif", palette, interlace=1)
save("grey.gif", rgb.convert("L"))
save("transparent.gif", palette, transparency=5)
save("animated.gif", rgb, save_all=True, append_images=[smooth.resize((W, H))], duration=50)
save("long.gif", Image.fromarray(formula(200, 150, 6)).quantize(200))


def gif(screen, frame, transparent=None):
    """A frame of 2 x 2 pixels, with a code to clear before each."""
    data = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x81, 1, 0) + bytes([1, 2, 3, 50, 60, 70, 100, 110, 120, 200, 210, 220])
    if transparent is not None:
        data += b"\x21\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    codes = [4, 0, 4, 1, 4, 2, 4, 3, 5]
    bits = sum(code << (3 * i) for i, code in enumerate(codes))
    return data + b"," + struct.pack("<HHHHB", *frame, 2, 2, 0) + b"\x02\x04" + bits.to_bytes(4, "little") + b"\0;"


golden("frame-smaller.gif", gif((4, 3), (1, 1)))
golden("frame-smaller-transparent.gif", gif((4, 3), (1, 1), 1))
golden("frame-over-the-edge.gif", gif((2, 1), (1, 0)))

# resampling: samples at a stride, and the sum
resized = []
shapes = [((28, 28), (56, 56)), ((1, 1), (5, 7)), ((97, 61), (28, 28)), ((97, 61), (200, 133)), ((3, 200), (28, 28)), ((3, 200), (13, 300)),
          ((133, 200), (146, 146)), ((133, 200), (80, 54)), ((133, 200), (11, 11)), ((50, 7), (50, 31)), ((50, 7), (9, 7)), ((160, 120), (91, 91)), ((100, 100), (70, 60)), ((100, 100), (60, 20))]
for k, (source, target) in enumerate(shapes):
    for resample in (1, 2, 3, 4):
        out = np.asarray(Image.fromarray(formula(*source, k)).resize(target, resample=resample)).reshape(-1)
        resized.append({"k": k, "from": source, "to": target, "resample": resample, "every7th": packed(out[::7])})

# processors
SIZES = [(1, 1), (1, 7), (7, 1), (2, 3), (13, 300), (300, 13), (27, 29), (28, 28), (29, 27), (28, 56), (56, 28), (55, 57), (56, 56), (57, 55), (64, 48),
         (70, 70), (71, 33), (80, 100), (83, 112), (84, 84), (85, 112), (99, 101), (100, 99), (111, 113), (112, 112), (113, 111), (120, 90), (127, 3), (3, 127), (128, 128),
         (129, 65), (140, 70), (150, 149), (151, 40), (160, 120), (167, 168), (168, 168), (169, 168), (180, 31), (199, 1), (1, 199), (200, 150), (211, 97), (223, 225),
         (224, 224), (240, 135), (255, 256), (300, 200), (333, 500), (401, 17)]
assert len(SIZES) == 50
MEAN = [0.5, 0.5, 0.5]
IDEFICS3 = {
    "split": {"size": {"longest_edge": 224}, "max_image_size": {"longest_edge": 56}},
    "small": {"size": {"longest_edge": 28}, "max_image_size": {"longest_edge": 28}, "do_image_splitting": False, "resample": 1},
    "unresized": {"do_resize": False, "size": {"longest_edge": 224}, "max_image_size": {"longest_edge": 112}, "resample": 3, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
    "raw": {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 56}, "do_normalize": False, "resample": 2},
}
QWEN2_VL = {
    "published": {"min_pixels": 784, "max_pixels": 50176},
    "small": {"min_pixels": 196, "max_pixels": 784, "patch_size": 7},
    "size": {"size": {"shortest_edge": 6272, "longest_edge": 12544}, "resample": 1, "do_rescale": False, "do_normalize": False},
}


def digest(patches):
    """[patches, numbers]: samples at a stride that meets all places, the sum, and the sum weighted by place."""
    flat = np.asarray(patches, np.float32).reshape(-1)
    stride = max(1, flat.size // 12) | 1
    wide = flat.astype(np.float64)
    return {"numbers": flat.size, "sum": wide.sum(), "weighted": (wide * (np.arange(flat.size) % 251)).sum(),
            "samples": [float(f"{v:.9g}") for v in flat[::stride]]}


def idefics3_patches(tile, patch):
    channels, height, width = tile.shape
    return tile.reshape(channels, height // patch, patch, width // patch, patch).transpose(1, 3, 0, 2, 4).reshape(-1, channels * patch * patch)


words = {"<unk>": 0}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, "<unk>")), unk_token="<unk>")
PATCH, SCALE = 14, 2
processed = {"idefics3": {}, "qwen2_vl": {}}
for name, options in IDEFICS3.items():
    side = options["max_image_size"]["longest_edge"]
    patch = 7 if side == 28 else PATCH
    sequence = (side // patch // SCALE) ** 2
    images = Idefics3ImageProcessorPil(**options)
    processor = Idefics3Processor(images, tokenizer, image_seq_len=sequence)
    cases = []
    for k, size in enumerate(SIZES):
        result = images(Image.fromarray(formula(*size, k)), return_row_col_info=True, return_tensors=None)
        assert all(mask.all() for mask in result["pixel_attention_mask"][0]) if "pixel_attention_mask" in result else True
        text = processor.replace_image_token({"rows": result["rows"], "cols": result["cols"]}, 0)
        tiles = [digest(idefics3_patches(np.asarray(tile), patch)) for tile in result["pixel_values"][0]]
        cases.append({"rows": result["rows"][0][0], "cols": result["cols"][0][0], "text": text.replace("<image>" * sequence, "*"), "tiles": tiles})
    saved = json.loads(images.to_json_string())
    processed["idefics3"][name] = {"options": options, "saved": saved, "patch": patch, "tokens": sequence, "cases": cases}
for name, options in QWEN2_VL.items():
    images = Qwen2VLImageProcessorPil(**options)
    cases = []
    for k, size in enumerate(SIZES):
        try:
            result = images(Image.fromarray(formula(*size, k)), return_tensors=None)
        except ValueError as error:
            cases.append({"error": str(error)})
            continue
        cases.append({"grid": np.asarray(result["image_grid_thw"])[0].tolist(), "tiles": [digest(result["pixel_values"])]})
    processed["qwen2_vl"][name] = {"options": options, "saved": json.loads(images.to_json_string()), "cases": cases}

rng = np.random.default_rng(7)
sizes = []
for _ in range(300):
    height, width = (int(v) for v in rng.integers(1, rng.choice([40, 400, 4000]), 2))
    factor, low = int(rng.choice([14, 28, 32])), int(rng.choice([196, 3136, 50176]))
    high = low * int(rng.choice([4, 64, 1024]))
    if max(height, width) / min(height, width) <= 200:
        sizes.append([height, width, factor, low, high, *smart_resize(height, width, factor, low, high)])

versions = {"pillow": PIL.__version__, "numpy": np.__version__, "transformers": transformers.__version__,
            **{name: features.version(name) for name in ("libjpeg_turbo", "webp", "zlib")}}
golden_file = {"versions": versions, "decoded": decoded, "resized": resized, "sizes": SIZES, "processed": processed, "smart_resize": sizes}
(ROOT / "pictures.json").write_text(json.dumps(golden_file, separators=(",", ":")) + "\n")
