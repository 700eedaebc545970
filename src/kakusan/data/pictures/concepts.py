"""The things a picture can show: what they are called in English and Japanese, and where their drawings are found."""

from dataclasses import dataclass

KINDS = ("fruit", "food", "animal", "face", "sea", "air", "plant", "vehicle", "boat", "building", "thing")


@dataclass(frozen=True)
class Concept:
    """One thing. The first noun of each language is the usual one; no two concepts share a noun.

    points: Unicode code points of its drawing, in hexadecimal.
    kind: one of KINDS; decides which landscapes suit it.
    counter: the Japanese counter word, as 匹 in 二匹の猫.
    colour: the colour it has in every rendering, where there is one that everybody would name.
    paintable: whether it may be painted: not where its most coloured part is another thing (the bowl of an ice cream).
    """

    name: str
    points: str
    kind: str
    en: tuple[str, ...]
    ja: tuple[str, ...]
    counter: str
    colour: str | None = None
    paintable: bool = True


CONCEPTS = (
    Concept("apple", "1f34e", "fruit", ("apple",), ("りんご", "リンゴ", "林檎"), "個", "red"),
    Concept("pear", "1f350", "fruit", ("pear",), ("洋梨", "梨", "洋ナシ"), "個", "green"),
    Concept("banana", "1f34c", "fruit", ("banana",), ("バナナ",), "本", "yellow"),
    Concept("strawberry", "1f353", "fruit", ("strawberry",), ("いちご", "イチゴ", "苺"), "個", "red"),
    Concept("orange", "1f34a", "fruit", ("orange", "tangerine", "mandarin"), ("オレンジ", "みかん", "ミカン"), "個", "orange"),
    Concept("lemon", "1f34b", "fruit", ("lemon",), ("レモン",), "個", "yellow"),
    Concept("watermelon", "1f349", "fruit", ("watermelon", "slice of watermelon"), ("スイカ", "すいか", "西瓜"), "個"),
    Concept("cherry", "1f352", "fruit", ("cherry",), ("さくらんぼ", "サクランボ", "チェリー"), "個", "red"),
    Concept("carrot", "1f955", "fruit", ("carrot",), ("にんじん", "ニンジン", "人参"), "本", "orange"),
    Concept("mushroom", "1f344", "fruit", ("mushroom", "toadstool"), ("きのこ", "キノコ"), "個"),
    Concept("hamburger", "1f354", "food", ("hamburger", "burger"), ("ハンバーガー", "バーガー"), "個"),
    Concept("pizza", "1f355", "food", ("pizza", "slice of pizza"), ("ピザ",), "枚"),
    Concept("sushi", "1f363", "food", ("sushi",), ("寿司", "お寿司", "すし"), "個", paintable=False),
    Concept("ice cream", "1f368", "food", ("ice cream",), ("アイスクリーム", "アイス"), "個", paintable=False),
    Concept("cake", "1f382", "food", ("cake", "birthday cake"), ("ケーキ", "誕生日ケーキ"), "個"),
    Concept("donut", "1f369", "food", ("donut", "doughnut"), ("ドーナツ", "ドーナッツ"), "個"),
    Concept(
        "cup",
        "2615",
        "food",
        ("cup of coffee", "coffee cup", "cup", "coffee"),
        ("コーヒー", "コーヒーカップ", "カップ"),
        "杯",
        paintable=False,
    ),
    Concept("dog", "1f436", "face", ("dog", "puppy", "doggy"), ("犬", "イヌ", "いぬ", "子犬"), "匹"),
    Concept("cat", "1f431", "face", ("cat", "kitty", "kitten"), ("猫", "ネコ", "ねこ", "子猫"), "匹"),
    Concept("horse", "1f40e", "animal", ("horse", "pony"), ("馬", "ウマ"), "頭", "brown"),
    Concept("rabbit", "1f407", "animal", ("rabbit", "bunny"), ("うさぎ", "ウサギ", "兎"), "匹", paintable=False),
    Concept("fox", "1f98a", "face", ("fox",), ("きつね", "キツネ", "狐"), "匹", "orange"),
    Concept("lion", "1f981", "face", ("lion",), ("ライオン", "獅子"), "頭"),
    Concept("panda", "1f43c", "face", ("panda", "panda bear"), ("パンダ",), "頭", paintable=False),
    Concept("elephant", "1f418", "animal", ("elephant",), ("象", "ゾウ", "ぞう"), "頭", "gray", paintable=False),
    Concept("pig", "1f416", "animal", ("pig", "piggy"), ("豚", "ブタ", "ぶた"), "匹", "pink"),
    Concept("cow", "1f404", "animal", ("cow",), ("牛", "ウシ", "うし"), "頭", paintable=False),
    Concept("chicken", "1f414", "face", ("chicken", "hen"), ("にわとり", "ニワトリ", "鶏"), "羽", paintable=False),
    Concept("penguin", "1f427", "animal", ("penguin",), ("ペンギン",), "羽", paintable=False),
    Concept("owl", "1f989", "animal", ("owl",), ("ふくろう", "フクロウ"), "羽", "brown"),
    Concept("duck", "1f986", "animal", ("duck",), ("あひる", "アヒル", "鴨"), "羽", paintable=False),
    Concept("frog", "1f438", "face", ("frog",), ("カエル", "かえる", "蛙"), "匹", "green", paintable=False),
    Concept("turtle", "1f422", "animal", ("turtle", "tortoise"), ("亀", "カメ", "かめ"), "匹", "green"),
    Concept("fish", "1f41f", "sea", ("fish",), ("魚", "さかな"), "匹", "blue"),
    Concept("whale", "1f40b", "sea", ("whale",), ("くじら", "クジラ", "鯨"), "頭", "blue"),
    Concept("octopus", "1f419", "sea", ("octopus",), ("タコ", "たこ", "蛸"), "匹"),
    Concept("crab", "1f980", "sea", ("crab",), ("カニ", "かに", "蟹"), "匹"),
    Concept("butterfly", "1f98b", "air", ("butterfly",), ("蝶", "ちょう", "蝶々"), "匹"),
    Concept("bee", "1f41d", "air", ("bee", "honeybee"), ("ミツバチ", "蜂", "ハチ"), "匹", "yellow"),
    Concept("dragon", "1f409", "animal", ("dragon",), ("ドラゴン", "竜", "龍"), "頭", "green"),
    Concept("unicorn", "1f984", "face", ("unicorn",), ("ユニコーン", "一角獣"), "頭", paintable=False),
    Concept("tree", "1f333", "plant", ("tree",), ("木", "樹木"), "本", "green"),
    Concept("pine tree", "1f332", "plant", ("pine tree", "fir tree", "evergreen tree"), ("もみの木", "松の木", "針葉樹"), "本", "green"),
    Concept("cactus", "1f335", "plant", ("cactus",), ("サボテン", "さぼてん"), "本", "green"),
    Concept("sunflower", "1f33b", "plant", ("sunflower",), ("ひまわり", "ヒマワリ", "向日葵"), "本", "yellow"),
    Concept("rose", "1f339", "plant", ("rose",), ("バラ", "薔薇", "ばら"), "本", "red"),
    Concept("tulip", "1f337", "plant", ("tulip",), ("チューリップ",), "本", "pink"),
    Concept("car", "1f697", "vehicle", ("car", "automobile"), ("車", "自動車", "クルマ"), "台", "red"),
    Concept("bus", "1f68c", "vehicle", ("bus",), ("バス",), "台", paintable=False),
    Concept("bicycle", "1f6b2", "vehicle", ("bicycle", "bike"), ("自転車",), "台", paintable=False),
    Concept("train", "1f682", "vehicle", ("train", "steam train", "locomotive"), ("機関車", "汽車", "電車"), "台", paintable=False),
    Concept("airplane", "2708", "air", ("airplane", "plane"), ("飛行機",), "機"),
    Concept("helicopter", "1f681", "air", ("helicopter",), ("ヘリコプター", "ヘリ"), "機"),
    Concept("rocket", "1f680", "air", ("rocket", "spaceship"), ("ロケット", "宇宙船"), "機", paintable=False),
    Concept("sailboat", "26f5", "boat", ("sailboat", "boat", "yacht"), ("ヨット", "船", "帆船"), "隻", paintable=False),
    Concept("house", "1f3e0", "building", ("house", "home"), ("家", "おうち"), "軒"),
    Concept("castle", "1f3f0", "building", ("castle",), ("城", "お城"), "個", paintable=False),
    Concept("robot", "1f916", "face", ("robot",), ("ロボット",), "体", paintable=False),
    Concept("alien", "1f47d", "face", ("alien",), ("宇宙人", "エイリアン"), "人"),
    Concept("ghost", "1f47b", "thing", ("ghost",), ("おばけ", "お化け", "幽霊"), "体", "white", paintable=False),
    Concept("smiley", "1f600", "face", ("smiley face", "happy face", "smiley"), ("笑顔", "スマイル"), "個", "yellow"),
    Concept("sad face", "1f622", "face", ("sad face", "crying face"), ("泣き顔", "悲しい顔"), "個", "yellow"),
    Concept("snowman", "2603", "thing", ("snowman",), ("雪だるま", "ゆきだるま"), "個", "white", paintable=False),
    Concept("heart", "2764", "thing", ("heart",), ("ハート",), "個", "red"),
    Concept("star", "2b50", "thing", ("star",), ("星", "スター"), "個", "yellow"),
    Concept("sun", "2600", "thing", ("sun",), ("太陽", "お日様"), "個"),
    Concept("crown", "1f451", "thing", ("crown",), ("王冠", "冠"), "個", "yellow"),
    Concept("key", "1f511", "thing", ("key",), ("鍵", "カギ", "かぎ"), "本", "yellow"),
    Concept("guitar", "1f3b8", "thing", ("guitar", "electric guitar"), ("ギター", "エレキギター"), "本"),
    Concept("ball", "26bd", "thing", ("soccer ball", "ball", "football"), ("サッカーボール", "ボール"), "個"),
    Concept("balloon", "1f388", "thing", ("balloon",), ("風船", "ふうせん", "バルーン"), "個", "red"),
    Concept("umbrella", "2602", "thing", ("umbrella",), ("傘", "かさ"), "本"),
    Concept("book", "1f4d6", "thing", ("book", "open book"), ("本", "開いた本"), "冊", paintable=False),
    Concept("camera", "1f4f7", "thing", ("camera",), ("カメラ",), "台", paintable=False),
    Concept("light bulb", "1f4a1", "thing", ("light bulb", "bulb"), ("電球",), "個", "yellow"),
    Concept("gift", "1f381", "thing", ("gift", "present", "gift box"), ("プレゼント", "贈り物"), "個"),
    Concept("phone", "1f4f1", "thing", ("phone", "smartphone", "mobile phone"), ("スマートフォン", "スマホ", "電話"), "台"),
    Concept("t-shirt", "1f455", "thing", ("t-shirt", "shirt"), ("Tシャツ", "シャツ"), "枚"),
    Concept("hat", "1f3a9", "thing", ("hat", "top hat"), ("帽子", "シルクハット"), "個", paintable=False),
    Concept("teddy bear", "1f9f8", "thing", ("teddy bear", "teddy"), ("テディベア", "くまのぬいぐるみ"), "個", "brown"),
)
CONCEPT = {concept.name: concept for concept in CONCEPTS}
