import { expect, it } from "vitest";
import { loopTurns } from "../../../src/backend/stablehlo/loop-turns.ts";

/** Counts from a sum of arguments to an argument; a loop of known length around another one; one that does not count. */
const text = `module @rlpt {
func.func public @main(%arg0: tensor<i32>, %arg1: tensor<i32>, %arg2: tensor<4xf32>) -> (tensor<i32>, tensor<4xf32>, tensor<i32>) {
%0 = stablehlo.constant dense<1> : tensor<i32>
%1 = stablehlo.add %arg0, %0 : tensor<i32>
%2:2 = stablehlo.while(%state2_0 = %1, %state2_1 = %arg2) : tensor<i32>, tensor<4xf32>
 cond {
%3 = stablehlo.compare LT, %state2_0, %arg1 : (tensor<i32>, tensor<i32>) -> tensor<i1>
stablehlo.return %3 : tensor<i1>
 } do {
%4 = stablehlo.compare LT, %state2_1, %state2_1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
%5 = stablehlo.add %state2_0, %0 : tensor<i32>
stablehlo.return %5, %state2_1 : tensor<i32>, tensor<4xf32>
 }
%6 = stablehlo.constant dense<0> : tensor<i32>
%7:1 = stablehlo.while(%state7_0 = %6) : tensor<i32>
 cond {
%8 = stablehlo.constant dense<9> : tensor<i32>
%9 = stablehlo.compare LT, %state7_0, %8 : (tensor<i32>, tensor<i32>) -> tensor<i1>
stablehlo.return %9 : tensor<i1>
 } do {
%10:1 = stablehlo.while(%state10_0 = %6) : tensor<i32>
 cond {
%11 = stablehlo.compare LT, %state10_0, %arg1 : (tensor<i32>, tensor<i32>) -> tensor<i1>
stablehlo.return %11 : tensor<i1>
 } do {
stablehlo.return %arg1 : tensor<i32>
 }
%12 = stablehlo.add %state7_0, %0 : tensor<i32>
stablehlo.return %12 : tensor<i32>
 }
%13:1 = stablehlo.while(%state13_0 = %6) : tensor<i32>
 cond {
%14 = stablehlo.compare NE, %state13_0, %arg1 : (tensor<i32>, tensor<i32>) -> tensor<i1>
stablehlo.return %14 : tensor<i1>
 } do {
stablehlo.return %arg1 : tensor<i32>
 }
return %2#0, %2#1, %13#0 : tensor<i32>, tensor<4xf32>, tensor<i32>
}
}
`;

it("tells turns and counters from constants and arguments, of outer loops only", () => {
  expect(loopTurns(text, [2, 40, null])).toEqual({ turns: [37, 9, null], results: [40, null, null] });
});

it("knows nothing of a bound that it is not given, and no negative turns", () => {
  expect(loopTurns(text, [2, null, null]).turns).toEqual([null, 9, null]);
  expect(loopTurns(text, [50, 40, null])).toEqual({ turns: [0, 9, null], results: [51, null, null] });
});
