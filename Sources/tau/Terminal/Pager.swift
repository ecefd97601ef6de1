internal import Glibc

/// Shows long texts a screen at a time, as other commands do: through $PAGER, or less.
enum Pager {
    /// Lines that fit on a terminal go straight out, and so does everything in a pipe.
    static func show(_ lines: [String]) {
        guard Terminal.outputIsTerminal, let height, lines.count >= height, let command,
            let pipe = popen(command, "w")
        else {
            for line in lines { print(line) }
            return
        }
        // A reader that quits early has seen enough.
        signal(SIGPIPE, SIG_IGN)
        for line in lines where fputs(line + "\n", pipe) == EOF { break }
        pclose(pipe)
    }

    private static var height: Int? {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return nil }
        return Int(size.ws_row)
    }

    /// Colours survive in less only with -R.
    private static var command: String? {
        if let pager = getenv("PAGER").map({ String(cString: $0) }) { return pager.isEmpty ? nil : pager }
        let directories = getenv("PATH").map { String(cString: $0).split(separator: ":") } ?? []
        return directories.contains { access("\($0)/less", X_OK) == 0 } ? "less -R" : nil
    }
}
