import Checkpoints
import Foundation
import Numerics
import Vision

/// What a data set is, for people and programs: two with the same digest are the same to a run.
struct DataSetSummary: Encodable {
  let path: String
  /// "folder", "list" or "tars".
  let form: String
  let pictures: Int
  let digest: Digest
  /// Nil where neither folders nor tars say any.
  let classes: Int?
  /// Pictures that do not count.
  let hidden: Int
  /// The file that the listing was read from; nil if the pictures were listed just now.
  let index: String?

  init(_ data: DataSet) {
    path = data.root
    form = data.formInWords
    pictures = data.count
    digest = data.identity.digest
    classes = data.labels?.names.count
    hidden = data.hidden
    index = data.indexFile
  }

  func json() throws -> String { String(decoding: try JSONEncoder.readable.encode(self), as: UTF8.self) }

  func text() -> String {
    let lines = [
      ("pictures", "\(pictures), \(form == "tars" ? "in tars" : "in a \(form)")"),
      ("digest", "\(digest)"),
      ("classes", classes.map { "\($0)" } ?? "none"),
      ("hidden", "\(hidden)"),
      ("listed", index.map { "earlier, in \($0)" } ?? "just now"),
    ]
    return ([path] + lines.map { "  \($0.0.padding(toLength: 10, withPad: " ", startingAt: 0))\($0.1)" })
      .joined(separator: "\n")
  }
}
