internal import TauCore

/// The file of a journal: written from its beginning, and from its beginning again after each checkpoint. The calls block.
///
/// Room is filled with zeros and synced before it is used: a sync of a record is then a write of its bytes and nothing
/// else, neither a longer file nor newly mapped blocks.
struct JournalFile {
    let name: String
    let handle: FileHandle
    /// Whether there is anything that a checkpoint would make room of.
    private(set) var hasRecords = false
    /// Where the next record goes.
    private var position = 0
    private var allocated = 0
    private let maxBytes: Int

    private static let smallestStep = 256 << 10
    private static let largestStep = 4 << 20

    init(name: String, handle: FileHandle, maxBytes: Int) {
        self.name = name
        self.handle = handle
        self.maxBytes = maxBytes
    }

    /// Makes room for more bytes; false if that needs a checkpoint first.
    mutating func reserve(_ count: Int) throws(StoreError) -> Bool {
        guard position + count > allocated else { return true }
        guard position == 0 || position + count <= maxBytes else { return false }
        let step = min(max(allocated, Self.smallestStep), Self.largestStep)
        let wanted = min(max(position + count, allocated + step), max(maxBytes, position + count))
        do throws(StoreError) {
            try handle.write([UInt8](repeating: 0, count: wanted - allocated), at: allocated)
            try handle.synchronize()
        } catch {
            // No space, perhaps. What is there can be used again after a checkpoint.
            guard position > 0 else { throw error }
            return false
        }
        allocated = wanted
        return true
    }

    /// Returns once the bytes are on the disk. They need room, see `reserve`.
    mutating func write(_ bytes: [UInt8]) throws(StoreError) {
        precondition(position + bytes.count <= allocated, "Invariant: room was reserved")
        try handle.write(bytes, at: position)
        try handle.synchronize()
        position += bytes.count
        hasRecords = true
    }

    /// Begins anew with the bytes of a first record. Only for files whose records nobody needs any more.
    mutating func restart(with bytes: [UInt8]) throws(StoreError) {
        position = 0
        try write(bytes)
        hasRecords = false
    }
}
