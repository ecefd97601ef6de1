public import Logging
internal import TauCore
public import TauRuntime
internal import TauSystem
internal import TauTools

extension RuntimeEnvironment {
    /// This process's clock, and the machine's name.
    public static func process(logger: Logger) -> RuntimeEnvironment {
        RuntimeEnvironment(
            now: { Timestamp(milliseconds: wallClockMilliseconds()) }, node: hostName(), logger: logger,
            patterns: patternCompiler)
    }
}
