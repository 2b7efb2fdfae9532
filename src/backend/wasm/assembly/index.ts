// Entry of the module. It imports the memory of tfjs's wasm backend and must hold no data of its own:
// everything works on pointers it is given.
export { gemm, gemmBatch, gemmScratchBytes } from "./gemm";
