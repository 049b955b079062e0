export { createTestCa, type TestCa, type TestCertificate } from "./certificates/test-ca.ts";
