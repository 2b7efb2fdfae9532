/**
 * Pixels over white, in the integers of Pillow's alpha_composite, which the Hugging Face processors use for pictures with alpha.
 * @param rgba [pixels, 4] @returns [pixels, 3]
 */
export function overWhite(rgba: Uint8Array): Uint8Array {
  const pixels = rgba.length / 4;
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0, from = 0, to = 0; i < pixels; i++, from += 4) {
    const alpha = rgba[from + 3]!;
    for (let c = 0; c < 3; c++) rgb[to++] = blendOverWhite(rgba[from + c]!, alpha);
  }
  return rgb;
}

function blendOverWhite(value: number, alpha: number): number {
  const sum = (value * alpha + 255 * (255 - alpha) + 0x80) << 7;
  return ((sum >> 8) + sum) >> 15;
}

/** Inks (255: all of it) to light, as Pillow converts CMYK. */
export function inkToLight(ink: number, black: number): number {
  const light = 255 - black;
  const product = ink * light + 128;
  return Math.max(0, light - (((product >> 8) + product) >> 8));
}
