"""Pictures: the sizes, resamplings and bytes of Pillow, the original repository and diffusers; files as Pillow reads them."""

import io
import math

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from golden import save
from PIL import Image, ImageOps, PngImagePlugin
from PIL.Image import Resampling

UNREACHABLE = (0, 0)
MAX_MODEL_SIDE = 4096
ORIENTATION = 0x0112
EXIF_IFD = 0x8769
USER_COMMENT = 0x9286


def photo(width, height, seed):
    """A picture with slopes, edges and noise: what resampling can get wrong."""
    noise = np.random.RandomState(seed).randint(0, 256, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width]
    slopes = np.stack([x * 255 // width, y * 255 // height, (x // 8 + y // 8) % 2 * 255], axis=-1)
    return Image.fromarray(np.where(noise % 3 == 0, noise, slopes).astype(np.uint8))


def original_size(width, height, resolution):
    """edit_cli.py:87-91 at 0dffd1e, verbatim."""
    factor = resolution / max(width, height)
    factor = math.ceil(min(width, height) * factor / 64) * 64 / min(width, height)
    width = int((width * factor) // 64) * 64
    height = int((height * factor) // 64) * 64
    return width, height


def original_fit(image, resolution):
    return ImageOps.fit(image, original_size(*image.size, resolution), method=Resampling.LANCZOS)


def pixels(image):
    return np.array(image)


def write_sizes(out):
    random = np.random.RandomState(1)
    grid = [(w, h, 512) for w in range(64, 2100, 41) for h in range(64, 2100, 41)]
    some = [(*map(int, random.randint(1, 6000, 2)), int(r)) for r in random.choice([256, 512, 640, 700, 768], 1000)]
    rows = []
    for width, height, resolution in grid + some:
        original = original_size(width, height, resolution)
        if min(original) < 64 or max(original) > MAX_MODEL_SIDE:
            original = UNREACHABLE
        rows.append((width, height, resolution, *original))
    save(
        out / "sizes.safetensors",
        {"width_height_resolution_original": torch.tensor(rows, dtype=torch.int32)},
        tolerance=0,
        reason="sizes are whole numbers; 0x0 stands for those that cannot be had",
    )


def write_resize(out):
    cases = [
        ((37, 23), None, (64, 64)),
        ((37, 23), None, (16, 8)),
        ((37, 23), None, (37, 10)),
        ((37, 23), None, (20, 23)),
        ((37, 23), None, (37, 23)),
        ((37, 23), None, (1, 1)),
        ((37, 23), (3.3, 2.7, 30.1, 20.9), (32, 24)),
        ((37, 23), (0, 0.25, 37, 23), (37, 23)),
        ((37, 23), (10, 5, 11, 6), (16, 16)),
        ((37, 23), (36.5, 22.5, 37, 23), (3, 5)),
        ((1, 1), None, (8, 5)),
        ((2, 300), None, (64, 64)),
        ((131, 97), None, (64, 48)),
        ((61, 47), (1 / 3, 0.1, 60.7, 46.9), (24, 17)),
    ]
    tensors = {}
    for index, (size, box, to) in enumerate(cases):
        source = photo(*size, seed=index)
        tensors[f"{index}.source"] = pixels(source)
        tensors[f"{index}.box"] = np.array(box or (0, 0, *size), dtype=np.float64)
        tensors[f"{index}.resized"] = pixels(source.resize(to, Resampling.LANCZOS, box=box))
    save(out / "resize.safetensors", tensors, tolerance=0, reason="the same integer arithmetic as Pillow's")


def write_fit(out):
    tensors = {}
    processor = VaeImageProcessor(vae_scale_factor=8)
    cases = [((100, 75), 128), ((75, 100), 64), ((64, 64), 64), ((81, 31), 64), ((41, 43), 64)]
    for index, (size, resolution) in enumerate(cases):
        source = photo(*size, seed=100 + index)
        tensors[f"{index}.source"] = pixels(source)
        tensors[f"{index}.resolution"] = torch.tensor([resolution])
        tensors[f"{index}.original"] = pixels(original_fit(source, resolution))
        height, width = processor.get_default_height_width(source)
        tensors[f"{index}.diffusers"] = pixels(processor.resize(source, height, width))
    save(out / "fit.safetensors", tensors, tolerance=0, reason="the same integer arithmetic as Pillow's")


def write_tensors(out):
    """Every byte as a number, and many numbers as bytes, as the two tools have it."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3))
    processor = VaeImageProcessor(vae_scale_factor=8)
    original = 2 * torch.tensor(np.array(ramp)).float() / 255 - 1
    generator = torch.Generator().manual_seed(3)
    numbers = torch.rand(1, 3, 32, 32, generator=generator) * 2.4 - 1.2
    # Numbers that are, but for their last digit, halfway between bytes.
    numbers[0, 0].view(-1)[:256] = (torch.arange(256) + 0.5) / 127.5 - 1
    clamped = torch.clamp((numbers + 1.0) / 2.0, min=0.0, max=1.0)
    truncated = (255.0 * clamped[0].permute(1, 2, 0)).type(torch.uint8)
    save(
        out / "tensors.safetensors",
        {
            "ramp": pixels(ramp),
            "ramp.diffusers": processor.preprocess(ramp),
            "ramp.original": original.permute(2, 0, 1)[None],
            "numbers": numbers,
            "numbers.nearest": pixels(processor.postprocess(numbers, output_type="pil")[0]),
            "numbers.truncated": truncated,
        },
        tolerance=0,
        reason="the same operations in f32",
    )


def encode(image, format, **options):
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def oriented(value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def lossless_files():
    """Name of the file, its bytes."""
    rgb = photo(11, 7, seed=200)
    grey = rgb.convert("L")
    random = np.random.RandomState(4)
    alpha = Image.fromarray(random.randint(0, 256, (7, 11)).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    grey_alpha = grey.copy()
    grey_alpha.putalpha(alpha)
    palette = rgb.quantize(16)
    grey16 = Image.fromarray(random.randint(0, 65536, (7, 11)).astype(np.uint16))
    yield from ((f"orientation_{value}.png", encode(rgb, "PNG", exif=oriented(value))) for value in range(1, 9))
    yield "orientation_9.png", encode(rgb, "PNG", exif=oriented(9))
    yield "orientation_5.tiff", encode(rgb, "TIFF", exif=oriented(5))
    yield "orientation_8.webp", encode(rgba, "WEBP", lossless=True, exact=True, exif=oriented(8))
    yield "grey.png", encode(grey, "PNG")
    yield "grey_alpha.png", encode(grey_alpha, "PNG")
    yield "grey_16.png", encode(grey16, "PNG")
    yield "one_bit.png", encode(grey.convert("1"), "PNG")
    yield "rgba.png", encode(rgba, "PNG")
    yield "colour_key.png", encode(rgb, "PNG", transparency=rgb.getpixel((3, 3)))
    yield "palette.png", encode(palette, "PNG")
    yield "palette_4_bit.png", encode(palette, "PNG", bits=4)
    yield "palette_alpha.png", encode(palette, "PNG", transparency=bytes(range(0, 256, 16)))
    yield "rgb.bmp", encode(rgb, "BMP")
    yield "palette.bmp", encode(palette, "BMP")
    yield "grey.bmp", encode(grey, "BMP")
    yield "palette.gif", encode(palette, "GIF", transparency=3)
    yield "frames.gif", encode(palette, "GIF", save_all=True, append_images=[palette.rotate(180)])
    yield "rgb.webp", encode(rgb, "WEBP", lossless=True)
    yield "rgba.webp", encode(rgba, "WEBP", lossless=True, exact=True)
    yield "rgb.tiff", encode(rgb, "TIFF")
    yield "lzw.tiff", encode(rgb, "TIFF", compression="tiff_lzw")
    yield "deflate.tiff", encode(rgba, "TIFF", compression="tiff_adobe_deflate")
    yield "grey.tiff", encode(grey, "TIFF")
    yield "cmyk.tiff", encode(rgb.convert("CMYK"), "TIFF")


def lossy_files():
    # Smooth, as photos are, or the tools' upsampling of colour would be all that is compared.
    rgb = photo(24, 20, seed=201).resize((6, 5), Resampling.BOX).resize((24, 20), Resampling.BICUBIC)
    cmyk = encode(rgb.convert("CMYK"), "JPEG", quality=95)
    yield "rgb_444.jpg", encode(rgb, "JPEG", quality=95, subsampling=0)
    yield "rgb_420.jpg", encode(rgb, "JPEG", quality=90, subsampling=2)
    yield "progressive.jpg", encode(rgb, "JPEG", quality=90, progressive=True, subsampling=1)
    yield "grey.jpg", encode(rgb.convert("L"), "JPEG", quality=95)
    yield "orientation_6.jpg", encode(rgb, "JPEG", quality=95, subsampling=0, exif=oriented(6))
    yield "orientation_3.jpg", encode(rgb, "JPEG", quality=95, subsampling=0, exif=oriented(3))
    yield "cmyk.jpg", cmyk
    # Pillow writes no YCCK, but reads these numbers as such when the Adobe segment says so.
    adobe = cmyk.index(b"Adobe") + 11
    yield "ycck.jpg", cmyk[:adobe] + b"\x02" + cmyk[adobe + 1 :]
    yield "lossy.webp", encode(rgb, "WEBP", quality=90)


def decoded(file):
    """Colours and transparency, upright, as Pillow reads them."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips instead: high bytes, as it does for 16-bit RGB.
        image = Image.fromarray((pixels(image) >> 8).astype(np.uint8))
    has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    alpha = pixels(image.convert("RGBA").getchannel("A")) if has_alpha else None
    return pixels(image.convert("RGBA").convert("RGB") if image.mode in ("P", "PA") else image.convert("RGB")), alpha


def write_decode(out):
    tensors = {}
    for name, file in lossless_files():
        rgb, alpha = decoded(file)
        tensors[f"{name}.file"] = torch.frombuffer(bytearray(file), dtype=torch.uint8)
        tensors[f"{name}.rgb"] = rgb
        if alpha is not None:
            tensors[f"{name}.alpha"] = alpha
    save(out / "decode_lossless.safetensors", tensors, tolerance=0, reason="lossless formats have one reading")

    tensors = {}
    for name, file in lossy_files():
        rgb, _ = decoded(file)
        tensors[f"{name}.file"] = torch.frombuffer(bytearray(file), dtype=torch.uint8)
        tensors[f"{name}.rgb"] = torch.from_numpy(rgb.astype(np.float32)) / 255
    save(
        out / "decode_lossy.safetensors",
        tensors,
        tolerance=LOSSY_TOLERANCE,
        reason="the standards leave the inverse transform and the upsampling of colour to the decoder",
    )


# Twice what was measured.
LOSSY_TOLERANCE = 8 / 255

PARAMETERS = (
    "make it snowy, „Schnee“ ❄\nNegative prompt: people\n"
    "Steps: 30, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Image CFG scale: 1.25, Seed: 1371, "
    'Size: 512x384, Model hash: fbc31a67aa, Model: "instruct-pix2pix, 00-22000", Version: v1.10.1'
)


def write_parameters(out):
    """How AUTOMATIC1111 keeps its parameters: images.py, save_image_with_geninfo."""
    image = photo(4, 4, seed=300)
    plain = PARAMETERS.encode("ascii", errors="ignore").decode()
    files = {}
    for name, text in {"unicode.png": PARAMETERS, "latin_1.png": plain}.items():
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", text)
        files[name] = encode(image, "PNG", pnginfo=info)
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + PARAMETERS.encode("utf-16-be")
    files["unicode.jpg"] = encode(image, "JPEG", exif=exif)
    files["unicode.webp"] = encode(image, "WEBP", lossless=True, exif=exif)
    tensors = {name: torch.frombuffer(bytearray(file), dtype=torch.uint8) for name, file in files.items()}
    save(out / "parameters.safetensors", tensors, tolerance=0, reason="text is text")


def write(out):
    out = out / "images"
    write_sizes(out)
    write_resize(out)
    write_fit(out)
    write_tensors(out)
    write_decode(out)
    write_parameters(out)
