internal import TauObjects
internal import TauPostgres

/// The pieces of an archived session, which are asked for one after the other.
actor ArchiveExport {
    private let content: CheckedContent
    private var position = 0
    private var piece: [UInt8] = []

    init(_ content: CheckedContent) { self.content = content }

    func piece(at offset: Int) async throws(ObjectError) -> ArraySlice<UInt8> {
        guard offset >= position else { throw ObjectError(.source, "an archived session is read forwards only") }
        while offset >= position + piece.count {
            position += piece.count
            guard let next = try await content.next() else {
                throw ObjectError(.corrupt, "an archived session ends before its end")
            }
            piece = next
        }
        return piece[(offset - position)...]
    }
}

/// The pieces of a session on its way out, which are asked for one after the other.
actor ExportSource {
    private var reader: SessionContent.Reader
    private let reading: ReadPool
    private var position = 0
    private var piece: [UInt8] = []

    init(_ reader: SessionContent.Reader, _ reading: ReadPool) {
        self.reader = reader
        self.reading = reading
    }

    func piece(at offset: Int) async throws(PostgresError) -> ArraySlice<UInt8> {
        if offset < position {
            reader = SessionContent.Reader(session: reader.session, extent: reader.extent)
            (position, piece) = (0, [])
        }
        while offset >= position + piece.count {
            position += piece.count
            let reader = reader
            let (next, ahead) = try await reading.read { pool throws(PostgresError) in
                var ahead = reader
                return (try await ahead.next(pool), ahead)
            }
            self.reader = ahead
            guard let next else {
                throw PostgresError(.unexpectedValue, "a session ends before its end")
            }
            piece = next
        }
        return piece[(offset - position)...]
    }
}
