internal import Glibc

extension Directory {
    /// Removes everything in the directory, whatever its depth, without following links.
    ///
    /// Subdirectories are moved up before they are emptied. So neither the stack nor the number of open descriptors nor
    /// the length of a path grows with the depth, which hostile tools choose.
    package func removeContents() throws(SystemError) {
        var counter = 0
        // Whoever goes on adding files cannot keep this up for ever.
        for _ in 0..<1_000_000 {
            let names = try names(limit: 4096)
            if names.isEmpty { return }
            for name in names { try removeEntry(name, &counter) }
        }
        throw SystemError(call: "removeContents", code: EBUSY)
    }

    private func removeEntry(_ name: [UInt8], _ counter: inout Int) throws(SystemError) {
        if try removedAsFile(name) { return }
        permitOwner(name)
        let child = try openDirectory(name, links: .refused)
        for inner in try child.names(limit: 4096) where try !child.removedAsFile(inner) {
            child.permitOwner(inner)
            try child.moveUp(inner, to: self, &counter)
        }
        do throws(SystemError) {
            try removeDirectory(name)
        } catch  where error.code == ENOTEMPTY || error.code == ENOENT {
            // More than one portion of names: the next round goes on.
        }
    }

    /// False if the name is a directory's.
    private func removedAsFile(_ name: [UInt8]) throws(SystemError) -> Bool {
        do throws(SystemError) {
            try removeFile(name)
            return true
        } catch  where error.code == ENOENT {
            return true
        } catch  where error.code == EISDIR || error.code == EPERM {
            return false
        }
    }

    private func moveUp(_ name: [UInt8], to top: Directory, _ counter: inout Int) throws(SystemError) {
        while true {
            counter += 1
            if rename(name, into: top, as: Array(".removed-\(counter)".utf8)) == 0 { return }
            // The tools may have used such names too.
            guard errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR else { throw .last("renameat") }
        }
    }
}
