// Entry of the module. It imports the memory of tfjs's wasm backend and must hold no data of its own
// (the build refuses a data section): everything works on pointers it is given.
export { adamw } from "./adamw";
export { embeddingGrad, rope, swiglu, swigluGrad } from "./decoder";
export { binary, copyBlocks, exp, gatherRows, sigmoid, square, sumColumns, sumRows, swapAxes } from "./elementwise";
export { gemm, gemmBatch, gemmScratchBytes } from "./gemm";
export { rmsNorm, rmsNormGrad, rmsNormWeightGrad } from "./norm";
export { maskedSoftmax, maskedSoftmaxGrad, tokenLogprobGrad, tokenStats } from "./softmax";
