declare module "picomatch" {
  interface PicomatchOptions {
    readonly bash?: boolean;
    readonly dot?: boolean;
  }
  interface Picomatch {
    isMatch(text: string, pattern: string, options?: PicomatchOptions): boolean;
  }
  const picomatch: Picomatch;
  export default picomatch;
}
