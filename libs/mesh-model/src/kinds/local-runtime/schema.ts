import { s } from "../../schema/index.ts";

/** lateen.dev LocalRuntime: how container images become processes on this machine. First match wins. */
export const localRuntimeBody = s.object({
  spec: s.required(
    s.object({
      images: s.required(
        s.array(
          s.object({
            match: s.required(s.string()),
            command: s.required(s.array(s.string())),
            env: s.map(s.string()),
            workingDir: s.string(),
          }),
        ),
      ),
    }),
  ),
});
