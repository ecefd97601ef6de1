internal import TauCore

extension Workspace {
    /// The first bytes of the file; if there is none of that name, of one whose name differs only in what models write differently from
    /// macOS: its names are decomposed (NFD), have a narrow no-break space in front of AM and PM, and a typographic
    /// apostrophe.
    func head(
        ofAnySpelling path: WorkspacePath, bytes count: Int
    ) throws(ToolFailure) -> (path: WorkspacePath, head: Content) {
        do throws(ToolFailure) {
            return (path, try head(of: path, bytes: count))
        } catch {
            guard error.code == .failed else { throw error }
            for other in path.otherSpellings {
                if let head = try? head(of: other, bytes: count) { return (other, head) }
            }
            throw error
        }
    }
}

extension WorkspacePath {
    /// In the order in which they are tried.
    fileprivate var otherSpellings: [WorkspacePath] {
        let spaced = [" AM.", " PM.", " am.", " pm."].reduce(text) { text, mark in
            text.replacing(mark, with: "\u{202F}" + mark.dropFirst())
        }
        let decomposed = UnicodeText.decomposed(bytes).map { String(decoding: $0, as: UTF8.self) }
        let curled = [text, decomposed].compactMap { $0?.replacing("'", with: "\u{2019}") }
        let spellings = ([spaced, decomposed].compactMap(\.self) + curled).map { Array($0.utf8) }
        return spellings.filter { $0 != bytes }.compactMap { try? WorkspacePath(bytes: $0) }
    }
}
