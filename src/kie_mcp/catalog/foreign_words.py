"""Words for the main wishes in other languages, so that a search in them finds what an English search finds."""

import re
import unicodedata
from functools import cache

FOREIGN_WORDS = {
    # Things
    "video": "видео* ролик* видеоролик* vidio videoclip 视频 影片 動画 ビデオ 영상 동영상 비디오",
    "picture": "картин* изображен* рисун* bild bilder bildes imagenes imagem imagens 图片 图像 图 画像 絵 "
    "イラスト 이미지 그림",
    "photo": "фото* foto fotos fotografia fotografie 照片 相片 写真 사진",
    # The Spanish word alone is the name of a model, Imagen.
    "image to video": "imagen_en_video imagen_a_video",
    "text": "текст* texto textos texte textes 文字 文本 テキスト 文章 텍스트 글자",
    "speech": "речь речи sprache sprachausgabe habla fala parole 语音 朗读 音声 読み上げ 음성",
    "voiceover": "озвуч* voz_en_off voix_off locucion narracao vertonen vertonung vorlesen 配音 旁白 "
    "ナレーション 더빙 낭독",
    "voice": "голос* stimme voz voix 声音 声 목소리",
    "music": "музык* musik musica musicas musique 音乐 音楽 음악",
    "song": "песн* lied lieder cancion canciones chanson chansons cancao 歌曲 歌 曲 노래",
    "sound effect": "звук* gerausch* efecto_de_sonido efectos_de_sonido bruitage efeito_sonoro 音效 効果音 효과음",
    "background": "фон фона фоне фону hintergrund* fondo fondos arriere_plan fundo 背景 배경",
    "anime": "аниме 动漫 动画 漫画 アニメ 만화",
    "logo": "логотип* logotipo logotipos 标志 徽标 ロゴ 로고",
    "resolution": "разрешен* auflosung resolucion resolucao 分辨率 解像度 해상도",
    "quality": "качеств* qualitat calidad qualite qualidade 画质 画質 화질",
    # What to do
    "draw": "нарис* рисовать zeichne zeichnen malen dibuja dibujar dessine dessiner desenha desenhar 画 描く "
    "描いて 그려",
    "remove": "удал* убери убрать entfern* quitar quita eliminar elimina supprimer enlever remover 去除 去掉 "
    "移除 删除 削除 除去 消す 消して 제거 지우기 지워",
    "cutout": "вырез* freistellen detourer 抠图 切り抜き 누끼",
    "upscale": "увелич* апскейл* улучш* vergrossern hochskalieren verbessern ampliar aumentar mejorar "
    "agrandir ameliorer melhorar 放大 高清 超分 拡大 高画質 高解像度 업스케일 확대 고화질",
    "edit": "редактир* отредакт* измени* bearbeite* editar edita modifier retoucher modificar 编辑 修图 修改 "
    "編集 加工 편집",
    "animate": "ожив* анимир* animieren animar anima animer 动起来 アニメーション 애니메이션 움직이게",
    "lip sync": "липсинк* синхронизац*_губ lippensynchron* sincronizacion_labial sincronizar_labios "
    "synchronisation_labiale sincronizacao_labial 对口型 口型 リップシンク 口パク 립싱크",
    # What a search ignores
    "": "сдела* созда* сгенер* генер* хочу нужн* мне для мой моя мое мою моего моей и из в с на erstell* machen "
    "mach generier* komponier* ein eine einen einem aus mit fur von mein meine meinem meinen und den das zu zum hacer "
    "haz crear crea generar genera un una el la los las mi de del con en para desde faire fais creer cree generer "
    "genere une le les mon ma mes des du d l avec pour a partir criar crie fazer faca gerar gere um uma o do "
    "da meu minha com 生成 制作 创建 做 一个 一张 一段 一首 我 的 把 将 用 给 转 成 生 文生 を に の から する "
    "して 作る 作成 作って 変換 만들기 만들어 생성 줘 주세요 변환 으로 에서 를 을",
}
"""The Russian, German, Spanish, French, Portuguese, Chinese, Japanese and Korean words for each English word.

They are separated by spaces, and written without accents, with `_` for a blank inside, and with `*` for any ending.
Chinese, Japanese and Korean words are found inside longer ones, because not all words are separated there.
"""


def translate(text: str) -> str:
    """Return a search with the words of other languages in English: `"удалить фон" -> "remove background"`.

    Words that are not in `FOREIGN_WORDS` are kept, in lower case and without accents.
    """
    pattern, meanings = _compile()
    english = pattern.sub(lambda found: f" {meanings[(found.lastindex or 0) - 1]} ", strip_accents(text))
    return " ".join(english.split())


def strip_accents(text: str) -> str:
    """Return a text in lower case and without accents: `"Générer" -> "generer"`."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    # The last step joins the parts of Korean syllables again.
    return unicodedata.normalize("NFC", "".join(each for each in letters if not unicodedata.combining(each)))


@cache
def _compile() -> tuple[re.Pattern[str], list[str]]:
    """Return a pattern with a group for each word in `FOREIGN_WORDS`, the longest first, and the English of each."""
    words = [(strip_accents(word), english) for english, words in FOREIGN_WORDS.items() for word in words.split()]
    words.sort(key=lambda each: -len(each[0]))
    # All letters of Chinese, Japanese and Korean come after this character.
    groups = [f"({word})" if word >= "\u2e80" else rf"\b({word})\b" for word, _ in words]
    pattern = "|".join(groups).replace("*", r"\w*").replace("_", r"[\W_]+")
    return re.compile(pattern), [english for _, english in words]
