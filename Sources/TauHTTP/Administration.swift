package import TauCore

/// What the routes of administrators work with.
package struct Administration: Sendable {
    /// A new key: what is shown once, and what is kept of it.
    package struct NewKey: Sendable {
        package var text: String
        package var id: String
        package var digest: String

        package init(text: String, id: String, digest: String) {
            self.text = text
            self.id = id
            self.digest = digest
        }
    }

    package var accounts: any AccountStore
    package var makeKey: @Sendable () -> NewKey
    /// Is told that something about users or keys was changed here.
    package var noteChange: @Sendable () -> Void

    package init(
        accounts: any AccountStore, makeKey: @escaping @Sendable () -> NewKey,
        noteChange: @escaping @Sendable () -> Void
    ) {
        self.accounts = accounts
        self.makeKey = makeKey
        self.noteChange = noteChange
    }
}
