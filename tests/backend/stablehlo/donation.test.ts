import { describe, expect, it } from "vitest";
import { withDonation } from "../../../src/backend/stablehlo/donation.ts";

const module = (signature: string) =>
  `module @m {\n  func.func public @main(${signature}) -> tensor<2xf32> {\n    return %a : tensor<2xf32>\n  }\n}`;

describe("withDonation", () => {
  it("marks the arguments that are named, and no other text", () => {
    const text = module("%a: tensor<2xf32>, %b: tensor<3x4xf32>, %c: tensor<i32>");
    expect(withDonation(text, [0, 2])).toBe(
      module(
        "%a: tensor<2xf32> {jax.buffer_donor = true}, %b: tensor<3x4xf32>, %c: tensor<i32> {jax.buffer_donor = true}",
      ),
    );
    expect(withDonation(text, [])).toBe(text);
  });

  it("adds to attributes that are there, with brackets, commas and quotes in them", () => {
    const attributes = 'mhlo.sharding = "{devices=[8,1]<=[8]}", note = "a \\") b"';
    const text = module(`%a: tensor<2xf32> {${attributes}}, %b: tensor<2xf32>`);
    expect(withDonation(text, [0])).toBe(
      module(`%a: tensor<2xf32> {${attributes}, jax.buffer_donor = true}, %b: tensor<2xf32>`),
    );
  });

  it("names what cannot be donated", () => {
    expect(() => withDonation(module("%a: tensor<2xf32>"), [1])).toThrow(
      "argument 1 cannot be donated: @main has 1",
    );
    expect(() => withDonation(module(""), [0])).toThrow("@main has 0");
    expect(() => withDonation("module @m {}", [0])).toThrow("no function @main");
  });
});
