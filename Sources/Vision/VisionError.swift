/// Why pictures could not be found, read, decoded or made.
public enum VisionError: Error, Equatable, CustomStringConvertible {
  /// The bytes are no picture: the only error that the replacement rule answers by taking another picture.
  case undecodable(reason: String)
  case noFolder(path: String)
  case notAFolder(path: String)
  case emptyFolder(path: String)
  case noPictures(path: String, found: [String])
  /// A line of a list, from 1 on, that names no picture.
  case badLine(list: String, line: Int, reason: String)
  case badTar(path: String, reason: String)
  /// A name with braces for the names of tars.
  case badPattern(pattern: String, reason: String)
  case unreadable(path: String, reason: String)
  case listedTwice(path: String)
  /// The process is short of file descriptors or memory: this says nothing about the file.
  case noResources(path: String, reason: String)
  case changed(path: String, listed: Int, found: Int)
  /// So many in a row that there is nothing to replace a picture by: more than 1 % of the data set.
  case noneDecodes([PictureSource.Undecodable])
  case notWritable(path: String, reason: String)
  case notEmpty(path: String)
  case impossible(setting: String, value: Int, allowed: String)

  public var description: String {
    switch self {
    case .undecodable(let reason):
      "not a JPEG, PNG or WebP picture that can be decoded: \(reason)"
    case .noFolder(let path):
      "\(path) does not exist. Give a folder of JPEG, PNG or WebP pictures."
    case .notAFolder(let path):
      "\(path) is a file, not a folder. Give the folder that holds the pictures, a list of them (.txt or .list), or tars "
        + "(.tar)."
    case .badLine(let list, let line, let reason):
      "\(list), line \(line): \(reason). Mend the list; each line is the path of one picture."
    case .badTar(let path, let reason):
      "\(path): \(reason). Make or fetch the tar again, or leave it out."
    case .badPattern(let pattern, let reason):
      "\(pattern): \(reason). Give a pattern such as 'shards/train-{000000..000146}.tar', in quotes."
    case .emptyFolder(let path):
      "\(path) is empty. Give a folder of JPEG, PNG or WebP pictures, at any depth."
    case .noPictures(let path, let found):
      "\(path) holds no pictures: files ending in .jpg, .jpeg, .png or .webp (or in capitals) count, and there is only "
        + "\(found.joined(separator: ", ")). Convert the pictures, or give another folder."
    case .unreadable(let path, let reason):
      "\(path) cannot be read: \(reason). Mend it, or remove it; a run that was started with it goes on without it by "
        + "massl fork --data."
    case .listedTwice(let path):
      "\(path) was listed twice, as some mounts do while somebody changes the folder. Start again once nobody does."
    case .noResources(let path, let reason):
      "\(path) cannot be read just now: \(reason). Nothing is wrong with it: raise the limit of the process (ulimit -n, "
        + "memory), or close others."
    case .changed(let path, let listed, let found):
      "\(path) has \(found) bytes but had \(listed) when the folder was listed. Leave the data alone while it is used."
    case .noneDecodes(let undecodable):
      "\(undecodable.count) pictures in a row cannot be decoded: "
        + undecodable.prefix(10).map { "picture \($0.index): \($0.reason)" }.joined(separator: "; ")
        + ". Look at the data set."
    case .notWritable(let path, let reason):
      "\(path) cannot be written: \(reason)."
    case .notEmpty(let path):
      "\(path) already holds files. Give a new or an empty folder."
    case .impossible(let setting, let value, let allowed):
      "\(setting) \(value) cannot be. Give \(allowed)."
    }
  }
}
