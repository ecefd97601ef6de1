internal import Glibc
package import TauSystem

/// Objects as files below a directory, each under its key; the parts of a key between slashes are directories.
package struct DirectoryBucket: ObjectBucket {
    private let path: String
    private let threads: BlockingThreads

    private static let pieceBytes = 1 << 20

    /// The directory is made (mode 0700) when something is stored first.
    package init(path: String, threads: BlockingThreads) {
        self.path = path
        self.threads = threads
    }

    package func put(_ key: String, _ content: ObjectContent) async throws(ObjectError) {
        let name = try Self.parts(of: key)
        let file = try await onThread { () throws(SystemError) in
            try Directory.make(path)
            let directory = try Self.directory(of: name, in: Directory(path: path), makes: true)
            let temporary = Array(".put-\(UInt64.random(in: .min ... .max))".utf8)
            return NewFile(
                directory: directory, name: temporary, file: try directory.createFile(temporary, mode: 0o600))
        }
        do throws(ObjectError) {
            var count = 0
            while let piece = try await content.next() {
                count += piece.count
                try await onThread { () throws(SystemError) in try file.write(piece) }
            }
            guard count == content.byteCount else {
                throw ObjectError(.source, "\(content.byteCount) bytes were to be stored, and \(count) came")
            }
            try await onThread { () throws(SystemError) in try file.finish(as: name[name.count - 1]) }
        } catch {
            await threads.run { file.remove() }
            throw error
        }
    }

    package func get(_ key: String) async throws(ObjectError) -> ObjectContent {
        let name = try Self.parts(of: key)
        let (file, size) = try await onThread { () throws(SystemError) in
            let file = try Self.directory(of: name, in: Directory(path: path), makes: false)
                .openFile(name[name.count - 1], links: .refused)
            let size = Int(try file.status().size)
            return (OpenFile(file), size)
        }
        return ObjectContent(byteCount: size) { () throws(ObjectError) in
            let piece = try await onThread { () throws(SystemError) in try file.read(atMost: Self.pieceBytes) }
            return piece.isEmpty ? nil : piece
        }
    }

    package func size(of key: String) async throws(ObjectError) -> Int? {
        do throws(ObjectError) {
            return try await get(key).byteCount
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    package func delete(_ key: String) async throws(ObjectError) {
        let name = try Self.parts(of: key)
        do throws(ObjectError) {
            try await onThread { () throws(SystemError) in
                let directory = try Self.directory(of: name, in: Directory(path: path), makes: false)
                try directory.removeFile(name[name.count - 1])
                try directory.descriptor.synchronize()
            }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    // MARK: Parts

    /// The names between the slashes of a key, none of which leads anywhere else.
    private static func parts(of key: String) throws(ObjectError) -> [[UInt8]] {
        let parts = key.split(separator: "/", omittingEmptySubsequences: false).map { Array($0.utf8) }
        let isSafe = parts.allSatisfy { part in
            !part.isEmpty && part.first != UInt8(ascii: ".") && !part.contains(0) && part.count <= 255
        }
        guard isSafe else { throw ObjectError(.badConfiguration, "the key is no name that a file may have") }
        return parts
    }

    private static func directory(
        of name: [[UInt8]], in root: consuming Directory, makes: Bool
    ) throws(SystemError) -> Directory {
        var directory = root
        for part in name.dropLast() {
            if makes {
                do throws(SystemError) {
                    try directory.makeDirectory(part, mode: 0o700)
                    try directory.descriptor.synchronize()
                } catch  where error.code == EEXIST {}
            }
            directory = try directory.openDirectory(part, links: .refused)
        }
        return directory
    }

    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws(SystemError) -> Value
    ) async throws(ObjectError) -> Value {
        do throws(SystemError) {
            return try await threads.run(body)
        } catch {
            if error.code == ENOENT { throw ObjectError(.notFound, "there is no such object") }
            throw ObjectError(.unavailable, "the bucket's directory: \(error)")
        }
    }

    /// A file on its way in: nobody sees it before it is whole and on the disk.
    private final class NewFile: Sendable {
        private let directory: Directory
        private let name: [UInt8]
        private let file: FileDescriptor

        init(directory: Directory, name: [UInt8], file: consuming FileDescriptor) {
            self.directory = directory
            self.name = name
            self.file = file
        }

        func write(_ bytes: [UInt8]) throws(SystemError) { try file.write(bytes) }

        func finish(as final: [UInt8]) throws(SystemError) {
            try file.synchronize()
            try directory.rename(name, to: final)
            try directory.descriptor.synchronize()
        }

        func remove() { try? directory.removeFile(name) }
    }

    private final class OpenFile: Sendable {
        private let file: FileDescriptor

        init(_ file: consuming FileDescriptor) { self.file = file }

        func read(atMost count: Int) throws(SystemError) -> [UInt8] { try file.read(atMost: count) }
    }
}
