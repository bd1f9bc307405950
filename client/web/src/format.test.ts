import { expect, test } from "vitest";
import { ns, percent, plain, shortKernel, si, significant } from "./format";

test("times carry three significant digits and their unit", () => {
  expect([0, 12, 1234, 56_780, 2.5e6, 3.21e9].map(ns)).toEqual(["0 ns", "12 ns", "1.23 µs", "56.8 µs", "2.5 ms", "3.21 s"]);
  expect(ns(NaN)).toBe("—");
});

test("zeros before the point are kept", () => {
  expect(significant(100)).toBe("100");
  expect(significant(1200)).toBe("1200");
  expect(percent(1)).toBe("100 %");
  expect(si(3.35e12, "B/s")).toBe("3.35 TB/s");
});

test("control and direction characters of a workload's names are shown, not obeyed", () => {
  expect(plain("a\u202eb\u0007")).toBe("a\\u202eb\\u0007");
  expect(plain("x".repeat(300)).length).toBe(200);
});

test("a kernel's short name has no template arguments or parameters", () => {
  expect(shortKernel("void gemm<Config<128, 64>, true>(Params const&)")).toBe("gemm");
  expect(shortKernel("mm_kernel")).toBe("mm_kernel");
});
