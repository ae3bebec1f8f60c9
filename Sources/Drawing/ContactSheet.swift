import Vision

/// Pictures in rows, each row under a title and each picture over its caption:
///
///     title
///     +-----+  +-----+  +---+
///     |     |  |     |  |   |
///     |     |  |     |  +---+
///     +-----+  +-----+  caption
///     caption  caption  ..
///
/// A column is as wide as its widest picture; texts are cut to what there is of room.
public struct ContactSheet {
  public struct Cell {
    public var picture: Picture
    /// Lines.
    public var caption: [String]

    public init(_ picture: Picture, _ caption: String...) {
      self.picture = picture
      self.caption = caption
    }
  }

  public struct Row {
    public var title: String
    public var cells: [Cell]

    public init(title: String, _ cells: [Cell]) {
      self.title = title
      self.cells = cells
    }
  }

  /// At least one, each of at least one cell.
  public let rows: [Row]

  /// Around the sheet, between columns, and between a picture and its texts, in pixels.
  static let (margin, gap, space) = (12, 8, 3)
  /// Of a column that has small pictures alone: for a caption.
  static let leastColumn = 48

  public init(_ rows: [Row]) {
    precondition(!rows.isEmpty && rows.allSatisfy { !$0.cells.isEmpty }, "a sheet without pictures")
    self.rows = rows
  }
}

// MARK: - Where things lie

extension ContactSheet {
  /// Left edge and width of each column.
  private var columns: [(left: Int, width: Int)] {
    var columns: [(left: Int, width: Int)] = []
    for column in 0..<(rows.map(\.cells.count).max() ?? 0) {
      let left = columns.last.map { $0.left + $0.width + Self.gap } ?? Self.margin
      let widths = rows.filter { column < $0.cells.count }.map { $0.cells[column].picture.width }
      columns.append((left, max(Self.leastColumn, widths.max() ?? 0)))
    }
    return columns
  }

  /// Top edge of each row's title, and after the last row's captions.
  private var tops: [Int] {
    var tops = [Self.margin]
    for row in rows {
      let heights = row.cells.map { cell in
        cell.picture.height + (cell.caption.isEmpty ? 0 : Self.space + cell.caption.count * Canvas.lineHeight)
      }
      let height = Canvas.lineHeight + Self.space + (heights.max() ?? 0)
      tops.append(tops[tops.count - 1] + height + Self.margin)
    }
    return tops
  }

  /// Where a cell's picture lies on the sheet.
  public func place(row: Int, column: Int) -> Region {
    let picture = rows[row].cells[column].picture
    return Region(
      top: tops[row] + Canvas.lineHeight + Self.space, left: columns[column].left, height: picture.height,
      width: picture.width)
  }

  /// - Throws: `DrawingError.tooLarge`.
  public func drawn() throws(DrawingError) -> Picture {
    let (columns, tops) = (columns, tops)
    let right = columns[columns.count - 1]
    var canvas = try Canvas(width: right.left + right.width + Self.margin, height: tops[rows.count])
    for (row, top) in zip(rows, tops) {
      let title = Canvas.fitting(row.title, width: canvas.width - 2 * Self.margin)
      canvas.write(title, left: Self.margin, top: top)
      let pictures = top + Canvas.lineHeight + Self.space
      for (cell, column) in zip(row.cells, columns) {
        canvas.draw(cell.picture, left: column.left, top: pictures)
        let captions = pictures + cell.picture.height + Self.space
        for (line, text) in cell.caption.enumerated() {
          canvas.write(
            Canvas.fitting(text, width: column.width + Self.gap / 2), .quiet, left: column.left,
            top: captions + line * Canvas.lineHeight)
        }
      }
    }
    return canvas.picture
  }
}
