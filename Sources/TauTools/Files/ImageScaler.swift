internal import Glibc
internal import TauCore
internal import TauSystem

/// Makes images smaller with GraphicsMagick, in the sandbox: a picture is as hostile as any other file.
struct ImageScaler: Sendable {
    let workspace: Workspace
    let sandbox: Sandbox
    let session: SessionID
    let slots: FairQueue<SessionID>

    /// Whether GraphicsMagick is where the sandbox sees it.
    static let isInstalled = ["/usr/bin/gm", "/usr/local/bin/gm"].contains { (path: String) in access(path, X_OK) == 0 }

    /// The image at that path in at most so many bytes, with sides of at most `maxImageSide`: PNG or JPEG, whichever is
    /// smaller. nil if that cannot be done.
    func scaled(_ path: WorkspacePath, format: ImageFormat) async throws(ToolFailure) -> [UInt8]? {
        let limits = workspace.limits
        let name = format.mimeType.utf8.split(separator: UInt8(ascii: "/")).last.map { String(Substring($0)) } ?? ""
        let program = SandboxedProgram(
            arguments: [
                "/bin/bash", "--noprofile", "--norc", "-c", Self.script, "bash",
                WorkspacePath.mountPoint + "/" + path.text, name, String(limits.maxImageBytes),
                String(limits.maxImageSide),
            ],
            mayWrite: false)
        try await slots.enterForTool(session)
        defer { slots.leave() }
        let outcome: CommandExecution<CollectedBytes>.Outcome
        do throws(SystemError) {
            outcome = try await CommandExecution(
                program, timeoutSeconds: Double(limits.imageTimeoutSeconds), sandbox: sandbox, workspace: workspace
            ) { CollectedBytes(limit: limits.maxImageBytes) }
            .run()
        } catch {
            return nil
        }
        if case .aborted = outcome.end { throw .aborted }
        guard case .exited(.code(0)) = outcome.end, !outcome.output.isEmpty else { return nil }
        return outcome.output
    }

    /// First as large as it may be, then with less quality, then smaller. The first frame stands for an animation.
    private static let script = """
        exec 2> /dev/null
        input=$1 format=$2 bytes=$3 side=$4
        convert() { gm convert -limit memory 400MB -limit map 400MB -limit threads 1 "$@"; }
        size() { stat -c %s "$1"; }
        for scale in "$side" $((side * 3 / 4)) $((side / 2)) $((side / 4)); do
            convert "$format:-[0]" -auto-orient -resize "${scale}x$scale>" -strip png:/tmp/small < "$input" || exit 1
            for quality in 80 60 40; do
                convert png:/tmp/small -quality $quality jpeg:/tmp/small.jpg || exit 1
                best=/tmp/small
                [ "$(size /tmp/small.jpg)" -ge "$(size $best)" ] || best=/tmp/small.jpg
                [ "$(size $best)" -gt "$bytes" ] || exec cat $best
            done
        done
        exit 1
        """
}

/// All that a program writes.
private struct CollectedBytes: ~Copyable, CommandSink {
    private let limit: Int
    private var bytes: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    var isFull: Bool { bytes.count > limit }
    mutating func append(_ more: [UInt8]) { bytes += more }
    mutating func report() {}
    mutating func finish() -> [UInt8] { bytes }
}
