"""Share pages: URLs of web pages that show a file. If possible, such a URL is replaced by the file's own URL."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from kie_mcp.errors import InvalidCall

FOLDER = "a folder, not one file"
PRIVATE = "a page that shows the file, and gives it only to a browser"
STREAM = "a page with a player, which is no file"
SITE = "a page with the file in it"


@dataclass(frozen=True, slots=True)
class Page:
    """A kind of share page: patterns for its URLs, and a rule for the file's own URL if there is one."""

    hosts: str
    """Regular expression for the host without `www.`."""
    path: str = r".*"
    """Regular expression for the encoded path and the query, such as `/file/d/x/view?usp=sharing`."""
    direct: str = ""
    """Template for the file's own URL; may be empty.

    Its placeholders are the groups of `path`, `host`, and `site`, which is the scheme and the host with its port.
    """
    keep_query: tuple[str, ...] = ()
    """Names of query parameters that are copied from the page's URL to the URL made from `direct`."""
    set_query: tuple[tuple[str, str], ...] = ()
    """Query parameters that turn the page's URL into the file's own URL; used only if `direct` is empty."""
    drop_query: tuple[str, ...] = ()
    """Names of query parameters that are removed from the page's URL before `set_query` is added."""
    what: str = PRIVATE
    """What the page is, for the error message; used if the URL of the file itself cannot be built."""


_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id={id}"
"""URL of a file on Google Drive; without `confirm`, Drive sends a virus warning instead of a large file.

Source: github.com/wkentaro/gdown.
"""
_DRIVE_KEY = ("resourcekey",)
"""A query parameter that old URLs of Drive may need.

Source: developers.google.com/workspace/drive/api/guides/resource-keys.
"""

# The first entry that matches a URL is used. A comment before an entry names the source of its rule: the site's
# documentation, or a program that uses the rule.
PAGES: tuple[Page, ...] = (
    Page(r"drive\.google\.com", r"/(?:a/[^/]+/)?(?:u/\d+/)?file/d/(?P<id>[\w-]+).*", _DRIVE, keep_query=_DRIVE_KEY),
    Page(
        r"(drive|docs)\.google\.com",
        r"/(?:u/\d+/)?(?:open|uc|thumbnail)\?(?:.*&)?id=(?P<id>[\w-]+).*",
        _DRIVE,
        keep_query=_DRIVE_KEY,
    ),
    Page(r"drive\.google\.com", r".*folders/.*", what=FOLDER),
    Page(r"docs\.google\.com", r"/(?!.+/export([/?]|$)).*"),
    Page(r"drive\.google\.com|(photos|slides)\.google\.com|photos\.app\.goo\.gl|share\.google"),
    # Source: help.dropbox.com/share/force-download. The query parameter `rlkey` must not be removed:
    # dropboxforum.com/discussions/101001012/689070.
    Page(r"dropbox\.com", r"/(scl/fo|sh)/.*", what=FOLDER),
    Page(r"dropbox\.com", r"/(scl/fi|s)/.*", set_query=(("dl", "1"),), drop_query=("raw", "dl")),
    Page(r"dropbox\.com|db\.tt"),
    Page(r"1drv\.ms|photos\.onedrive\.com"),
    Page(r"onedrive\.live\.com", r"/(?!download).*"),
    Page(r".+\.sharepoint\.com", r"/(?!.*([?&]download=1|download\.aspx)).*"),
    Page(r"(.+\.)?icloud\.com"),
    # Source: docs.github.com/en/repositories/working-with-files/using-files/viewing-and-understanding-files. The host
    # raw.githubusercontent.com is not used, because it has only pointers for files in Git LFS:
    # github.com/drakulavich/kesha-voice-kit/pull/486
    Page(
        r"github\.com",
        r"/(?P<repo>[^/?#]+/[^/?#]+)/blob/(?P<path>[^?#]+).*",
        "https://github.com/{repo}/raw/{path}",
    ),
    Page(r"github\.com", r"/[^/]+/[^/]+(/tree/.*)?/?", what=FOLDER),
    Page(r"gist\.github\.com", r"/(?!.+/raw(/|$)).*", what=SITE),
    # Source: docs.gitlab.com/user/project/repository/files/; for `ref_type`,
    # gitlab.com/gitlab-org/gitlab/-/issues/388032. This program runs on many hosts.
    Page(
        r".+",
        r"(?P<repo>/[^?#]+)/-/blob/(?P<path>[^?#]+).*",
        "{site}{repo}/-/raw/{path}",
        keep_query=("ref_type",),
    ),
    # Source: github.com/go-gitea/gitea/issues/34104. Gitea and Forgejo run on many hosts, such as codeberg.org. `path`
    # is the name of the branch, tag or commit, and the file.
    Page(
        r"(?!raw\.githubusercontent\.com$).+",
        r"/(?P<repo>[^/?#]+/[^/?#]+)/src/(?P<ref>branch|tag|commit)/(?P<path>[^/?#]+/[^?#]+\.\w+).*",
        "{site}/{repo}/raw/{ref}/{path}",
    ),
    # Source: the page support.atlassian.com/bitbucket-cloud/docs/get-a-link-to-a-file.
    Page(
        r"bitbucket\.org",
        r"/(?P<repo>[^/?#]+/[^/?#]+)/src/(?P<path>[^?#]+\.\w+).*",
        "https://bitbucket.org/{repo}/raw/{path}",
    ),
    # Source: huggingface.co/docs/huggingface_hub/package_reference/file_download, the function `hf_hub_url`.
    Page(
        r"(huggingface\.co|hf\.co)",
        r"/(?P<repo>[^?#]+?)/blob/(?P<path>[^?#]+).*",
        "https://huggingface.co/{repo}/resolve/{path}",
    ),
    # Source: mediawiki.org/wiki/Help:Linking_to_files. MediaWiki's SpecialFilepath.php redirects to the file.
    Page(
        r"commons\.(m\.)?wikimedia\.org|[a-z-]+\.(m\.)?wikipedia\.org",
        r"/wiki/[^/?#:%]+(?::|%3[aA])(?P<name>[^/?#]+\.(?i:jpe?g|png|gif|webp|tiff?|svg|webm|ogv|ogg|oga|mp3|wav|flac|mid)).*",
        "https://{host}/wiki/Special:FilePath/{name}",
    ),
    # Source: developers.giphy.com/docs/optional-settings; yt-dlp's extractor/giphy.py has the same pattern for the
    # pages.
    Page(
        r"giphy\.com",
        r"/(?:gifs|clips|stickers|embed)/(?:.*-)?(?P<id>\w{6,})/?(?:\?.*)?",
        "https://media.giphy.com/media/{id}/giphy.gif",
    ),
    Page(r"(giphy|tenor)\.com", r"/(?:gifs|clips|stickers|view|search|explore)/.*", what=SITE),
    # Source: apidocs.imgur.com, the field `link` of an image.
    Page(r"(m\.)?imgur\.com", r"/(?P<name>\w+\.(?:png|jpe?g|gif|webp|mp4))(?:\?.*)?", "https://i.imgur.com/{name}"),
    Page(r"(m\.)?imgur\.com", what=SITE),
    # A page with a clip. Source: apidocs.imgur.com, the fields `gifv` and `mp4` of an image.
    Page(r"i\.imgur\.com", r"/(?P<name>\w+)\.gifv(?:\?.*)?", "https://i.imgur.com/{name}.mp4"),
    # Many programs put `/dl` into the URL that tmpfiles.org/api returns for an upload.
    Page(r"tmpfiles\.org", r"/(?P<path>\d+/[^?#]+).*", "https://tmpfiles.org/dl/{path}"),
    # Source: pixeldrain.com/api, GET /file/{id}.
    Page(r"pixeldrain\.com", r"/u/(?P<id>\w+).*", "https://pixeldrain.com/api/file/{id}"),
    Page(r"pixeldrain\.com", r"/l/.*", what=FOLDER),
    Page(
        r"wetransfer\.com|we\.tl|transfernow\.net|swisstransfer\.com|mega\.(nz|io)|mediafire\.com|(.+\.)?box\.com"
        r"|gofile\.io|u\.pcloud\.link|(e\.)?pcloud\.link|disk\.yandex\.\w+|yadi\.sk|cloud\.mail\.ru|pan\.baidu\.com"
        r"|drive\.proton\.me|terabox\.com|workupload\.com|smash\.(gg|com)|fromsmash\.com",
        r"/(?!(shared/static|api)/).*",
    ),
    # Source: github.com/timvisee/send. This program runs on many hosts.
    Page(r"send\..+", r"/download/[0-9a-f]{8,}/?"),
    Page(r"(m\.|music\.|gaming\.)?youtube\.com|youtu\.be|youtube-nocookie\.com", what=STREAM),
    # The paths `external` and `progressive_redirect` lead to the video files of paid accounts: help.vimeo.com.
    Page(r"(.+\.)?vimeo\.com", r"/(?!(external|progressive_redirect)/).*", what=STREAM),
    Page(
        r"((m|vm|vt|player|clips|space|live|geo)\.)?(tiktok|dailymotion|twitch|bilibili|rumble|odysee|loom|streamable|kick)\.(com|tv)",
        what=STREAM,
    ),
    Page(r"v\.redd\.it", r"/\w+/?", what=STREAM),
    Page(r"b23\.tv|dai\.ly|fb\.watch|medal\.tv|((m|sp|live)\.)?(nicovideo\.jp|vk\.com)", what=STREAM),
    Page(r"(open|play)\.spotify\.com|(m\.|on\.)?soundcloud\.com|music\.apple\.com|(.+\.)?bandcamp\.com", what=STREAM),
    Page(r"(deezer|tidal|mixcloud|audiomack|udio)\.com|podcasts\.apple\.com", what=STREAM),
    Page(
        r"(m\.|mobile\.|old\.|new\.)?(instagram|facebook|twitter|x|threads|reddit|snapchat|tumblr|linkedin|weibo)"
        r"\.(com|net)|t\.co|redd\.it|pin\.it|(\w\w\.)?pinterest\.[a-z.]+|bsky\.app|t\.me|(web\.)?telegram\.(me|org)"
        r"|web\.whatsapp\.com",
        what=SITE,
    ),
    Page(r"(discord|discordapp)\.com", r"/channels/.*", what=SITE),
    Page(r".+\.slack\.com", r"/(?!.*[?&]pub_secret=).*", what=PRIVATE),
    Page(r"(?!file\.)(.+\.)?notion\.(so|site)", r"/(?!(image|signed)/).*", what=PRIVATE),
    Page(r"figma\.com|canva\.com|trello\.com|miro\.com", what=PRIVATE),
    Page(
        r"(unsplash|pexels|pixabay|freepik)\.com",
        r"/(?:\w\w/)?(photos?|videos?|illustrations|music)/(?!(.+/)?download\b).*",
        what=SITE,
    ),
    Page(r"flickr\.com|flic\.kr|500px\.com", what=SITE),
    Page(r"(?!cdn|mir-)(.+\.)?(deviantart|artstation|behance|dribbble)\.(com|net)", what=SITE),
    Page(r"gyazo\.com", r"/\w+/?", what=SITE),
    Page(r"ibb\.co|postimg\.cc|prnt\.sc|imgbb\.com|cleanshot\.com", what=SITE),
    Page(r"archive\.org", r"/details/.*", what=SITE),
    Page(r"(chatgpt|claude|gemini\.google|chat\.openai|sora\.chatgpt|copilot\.microsoft)\.(com|ai)", what=PRIVATE),
    Page(r"(midjourney|civitai|lexica|suno)\.(com|art|ai)", r"/(jobs|images|song|s|prompt|playlist)/.*", what=SITE),
)
"""All known kinds of share pages; the host and the path of a URL show to which kind the page belongs."""

_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TAKE_IT = "Nothing was sent. Download the file and give its path, or give a link that leads to the file itself."


def find_direct_url(url: str, shown: str) -> str:
    """Return the URL of the file that a share page shows; any other URL is returned unchanged.

    Args:
        url: The URL; nothing is downloaded.
        shown: The URL as error messages show it.

    Raises:
        InvalidCall: The URL leads to a share page, and the URL of the file itself is not known.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.").rstrip(".")
    # Percent escapes are kept: `%23` is a part of a name, but a decoded `#` would end the path.
    path = quote(_LONE_PERCENT.sub("%25", parts.path), safe="/:@!$&',;=~+()*%")
    target = path + (f"?{parts.query}" if parts.query else "")
    for page in PAGES:
        if not re.fullmatch(page.hosts, host) or not (found := re.fullmatch(page.path, target or "/")):
            continue
        if page.direct:
            site = f"{parts.scheme}://{parts.netloc}"
            direct = page.direct.format(host=host, site=site, **found.groupdict())
            kept = [pair for pair in parse_qsl(parts.query) if pair[0] in page.keep_query]
            return f"{direct}{'&' if '?' in direct else '?'}{urlencode(kept)}" if kept else direct
        if page.set_query:
            kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in page.drop_query]
            return urlunsplit(parts._replace(query=urlencode([*kept, *page.set_query]), fragment=""))
        raise InvalidCall(f"{shown} is {page.what}.", _TAKE_IT)
    return url
