"""Which files are no images by their suffix; everything else is an image to try."""

from pipeline.source.folders.names import words_of

_SUFFIXES = {
    "texts and annotations": "txt csv tsv json jsonl ndjson geojson xml yaml yml mat npy npz pkl pickle h5 hdf5 "
    "parquet feather arrow tfrecord tfrecords idx cls xls xlsx ods db sqlite sqlite3 xmp aae",
    "documents": "md rst pdf html htm rtf doc docx odt ppt pptx tex bib log py ipynb sh bat ps1 r m c cpp h js css "
    "ini toml cfg conf url lnk webloc md5 sha1 sha256 sql",
    "archives": "zip tar gz tgz bz2 xz 7z rar zst",
    "videos": "mp4 mov avi mkv webm m4v mpg mpeg wmv flv 3gp mts",
    "sound recordings": "wav mp3 flac ogg m4a aac",
    "model files": "pt pth onnx safetensors ckpt pb tflite keras",
    "unfinished downloads": "part crdownload download",
}
KIND_OF = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
DOCUMENTS = words_of("readme license licence copying changelog authors citation makefile md5sums sha256sums")
"""Names without a suffix."""
RAW = words_of("cr2 cr3 nef arw dng orf raf rw2")
"""What a camera writes beside the JPEG of the same name."""
TABLES = frozenset({"txt", "csv", "tsv"})
"""Suffixes of lists that may hold the labels of images."""
_IMAGES = words_of("jpg jpeg jpe jfif png webp gif bmp tif tiff avif heic heif jp2 ppm pgm pbm")


def suffix(name: str) -> str:
    """The suffix of a file in lower case, without the dot; "" if it has none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def stem(name: str) -> str:
    """The name of a file without its suffix."""
    return name.rpartition(".")[0] or name


def is_image_name(name: str) -> bool:
    """Whether a name ends as the names of images do."""
    return suffix(name) in _IMAGES


def find_kind(name: str) -> str | None:
    """The kind of a file that is no image, in the plural; None for an image to try."""
    ending = suffix(name)
    return KIND_OF.get(ending) if ending else "documents" if name.lower() in DOCUMENTS else None
