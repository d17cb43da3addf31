"""What is mistaken for what: misspelt English words, signs and Chinese characters that look or sound alike."""

from collections.abc import Mapping

KEY_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
"""A QWERTY keyboard; each row stands half a key to the right of the one above it."""

_MISSPELT = """
absence abscence,absense|acceptable acceptible|accidentally accidently|accommodate accomodate,acommodate
accommodation accomodation|achieve acheive|achieved acheived|acknowledge aknowledge|acquire aquire|acquired aquired
acquisition aquisition|across accross|address adress|addresses adresses|adequate adaquate|advertisement advertisment
advice advise|again agian|against agianst|aggressive agressive|agreement agreemnt,agrement|all al|almost allmost
already allready|also aslo,allso|although altough|always allways|amateur amatuer|among amoung|amount ammount
analysis anaylsis,analisis|and adn,nad|annual anual|apparent apparant|apparently apparantly|appearance appearence
appreciate apreciate|approach aproach|approximately approximatly|argument arguement|around arround
assassination assasination|assistance assistence|athletic atheletic|attempt attemp|attention attension
available availible,avaliable|average avarage|awful awfull|balance ballance|bank banck|basically basicly
beautiful beautifull,beatiful|because becuase,becouse|become becomme|before befor|beginning begining|behavior behavoir
behaviour behavour|believe beleive|beneficial benificial|benefit benifit|between beetween,betwen|billion bilion
bought bougth|breathe breath|brilliant briliant|britain britian|broccoli brocolli|budget buget|build biuld
business buisness,bussiness|calendar calender|campaign campain|can cna|capital capitol|career carreer
category catagory|caught cought|ceiling cieling|cemetery cemetary|century centry|certain certian|certainly certainley
change chnage|changeable changable|chief cheif|choose chose|clothes cloths|collapse colapse|column colum
coming comming|commission comission,commision|commitment committment|committed commited|committee commitee,comittee
commodity comodity|company compnay,companny|comparison comparision|competition competion|completely completly
concede conceed|conscience concience|conscious concious|consensus concensus|consider concider|consumer comsumer
continue contineu|controversial contraversial|convenience convience|corporation coporation
correspondence correspondance|could coud,coudl|council counsil|country contry|course corse|criticism critisism
currency currancy|customer costumer|daughter daugther|decide desided|decision desision|decrease decreese
deficit defecit|definite definate|definitely definately,definitly|deliver delivar|demand deman|dependent dependant
description discription|desperate desparate|develop develope|development developement|difference diffrence
different diffrent,differant|difficult dificult|dilemma dilema|director directer|disappear dissapear
disappoint dissapoint|disappointed dissapointed|discipline disipline|discount discout|discuss discus|disease desease
dividend divident|division devision|does dose|dollar doller|during durring|early ealry|earnings earnigs
economic ecomonic|economy econmy|effect affect|efficient eficient|eighth eigth|either iether|embarrass embarass
embarrassed embarassed|employee employe|encourage encourge|enough enought,enuff|entertaining entertianing
entrepreneur entreprenur|environment enviroment|equipment equiptment|especially expecially,especialy|estimate estamate
every evry|exaggerate exagerate|excellent excelent|except exept|exchange exhange|exciting exiting|exercise excercise
existence existance|expect exspect|expensive expencive|experience experiance|explanation explaination|export exprot
extremely extremly|familiar familar|fascinating facinating|favourite favorite,favorate|february febuary|federal fedral
field feild|finally finaly|financial finacial|first frist|foreign foriegn,foregin|fortunately fortunatly|forty fourty
forward foward|friend freind|from form,fro|fulfil fullfil|funny funy|further futher|gauge guage|generally generaly
genius genious|getting geting|government goverment,govenment|grain grane|grammar grammer|grateful gratefull
great grate|group gruop|growth grouth|guarantee garantee,guarentee|guard gaurd|guidance guidence|happened happend
harass harrass|have ahve,hvae|height heigth|hierarchy heirarchy|highly highley|humorous humourous|hundred hunderd
hygiene hygeine|ignorance ignorence|imagine imagin|immediate imediate|immediately immediatly,imediately
important importent|impossible imposible|improve improove|incidentally incidently|include inculde
increase increse,incraese|independent independant|indispensable indispensible|industry indusrty|inflation infaltion
information infomation|intelligence inteligence|interest intrest|interesting intresting,intersting
international internatonal|interrupt interupt|investment investement|irrelevant irrelevent|its it's|january janurary
jewellery jewelery|judgement judgment|knowledge knowlege|known knwon|laboratory labratory|language langauge
leisure liesure|length lenght|liaison liason|library libary|licence lisence|lightning lightening|little littel
loan lone|lose loose|losing loosing|maintenance maintainance,maintenence|management managment|many mnay
market makret,maket|marriage marrage|maybe mabye|meant ment|measure mesure|medicine medecine|might migth
millennium millenium|million milion|minister minster|minute minuet|miscellaneous miscelaneous|mischievous mischevious
misspell mispell|month mouth,moth|more mroe|movie moive|national nationl|necessarily neccessarily
necessary neccessary,necesary|neighbour nieghbour|neither niether|ninety ninty|notice notise|noticeable noticable
occasion ocassion,occassion|occasionally occasionaly|occurred occured|occurrence occurence|offer ofer|official offical
often offen|only olny|operation opperation|opinion opinon|opportunity oppurtunity,oportunity|opposite oposite
original orignal|originally orginally|outrageous outragous|parallel paralel|parliament parliment|particular particuler
particularly particulary|people poeple,peple|per pre|percent precent|performance preformance,performence
perhaps perhasp|permanent permanant|persistent persistant|personnel personel|piece peice|planning planing
pleasant plesant|please plase|political politcal|position postion|possession posession|possible possable,posible
potatoes potatos|practical practicle|prefer perfer|preferred prefered|president presidant|previous previos|price prise
principal principle|privilege priviledge|probably probaly,propably|problem probelm|proceed procede|process proccess
produce produse|production prodution|professional proffesional|professor proffesor|profit proffit|programme program
prominent prominant|pronunciation pronounciation|proposal propsal|provide porvide|psychology psycology|public publik
publicly publically|purchase purchace|quality qaulity|quantity quanity|quarter quater|questionnaire questionaire
quiet quite|quite quiet|rate raet|really realy|reason reson|receipt reciept|receive recieve|received recieved
recent resent|recently recentley|recognise reconise|recommend recomend,reccommend|recommendation recomendation
record recrod|reference referance|referred refered|relevant relevent|religious religous|remember rember
repetition repitition|report reprot|reserve resevre|resistance resistence|responsible responsable
restaurant restaraunt,resturant|result reuslt|retail retial|rhyme ryhme|rhythm rythm|said siad|sales slaes|same smae
scene seen|schedule shedule|season seson|secretary secratary|security secuirty|seize sieze|sense sence
sentence sentance|separate seperate|sergeant sargent|several severel|share sahre|shareholder shareholer|shares shaers
shipment shippment|should shoud,shoudl|similar similer|since sicne|sincerely sincerly|skilful skillful|some soem
something somthing,somehting|sometimes somtimes|special speical|speech speach|statement statment|stock stok
stomach stomache|stopped stoped|strategy stratagy|strength strenght|strong storng|studying studing
subsidiary subsidary|subtle suttle|succeed succede|success sucess|successful succesful,successfull|sugar suger
supersede supercede|supply suply|support suport|suppose supose|surprise suprise|surprised suprised
surprising suprising|than then|that taht,tht|the teh,hte|their thier,there|themselves themselfs|then than
there their,ther|therefore therfore|these theese|they thye,tehy|thing thign|think thikn|this thsi,tihs
thorough thorogh|though thought|thought thougth|thousand thousend|threshold threshhold|through thru,throught|time tiem
together togehter|tomorrow tommorow,tommorrow|tongue tounge|tonight tonite|total toatl|trade traed
transferred transfered|treasury tresury|tries trys|truly truely|twelfth twelth|tyranny tyrany|under udner
unfortunately unfortunatly|unnecessary uneccessary|until untill,utnil|usable useable|usually usualy|vacuum vaccum
value valeu|vegetable vegtable|vehicle vehical|very vrey,verry|vicious viscious|view veiw|visible visable
volume volumn|wait weight|want wnat|was wsa|weather wether,whether|wednesday wensday|week weak|weird wierd
welcome wellcome|were where,wer|when wehn|where were,wher|whether wether|which wich,whcih|while whlie|whole hole
will wil|with wiht,whit|without withought,witout|woman women|work wrok|world wrold|would woud,woudl|write wright
writing writting|written writen|year yaer|years yeras|yesterday yeterday|yield yeild|you yuo|young yuong
your yoru,you're
"""


def _misspellings() -> Mapping[str, tuple[str, ...]]:
    entries = (entry.split() for line in _MISSPELT.strip().splitlines() for entry in line.split("|"))
    return {right: tuple(wrong.split(",")) for right, wrong in entries}


MISSPELLINGS: Mapping[str, tuple[str, ...]] = _misspellings()
"""English words and how they are often misspelt, in lower case."""

_LOOKS = (
    "0 O o|1 l I i|5 S s|8 B|2 Z z|6 G b|9 g q|7 T|4 A|rn m|nn m|cl d|vv w|VV W|li h|ri n|ii u|c e|a o|u v|f t|h b|"
    "i j|n r|E F|C G|D O|P R|U V|K X|M N|. ,|: ;|' `|( {"
)


def _alike(groups: str) -> dict[str, tuple[str, ...]]:
    """What each member of a group is taken for: the others."""
    found: dict[str, tuple[str, ...]] = {}
    for group in groups.split():
        for sign in group:
            others = [other for other in group if other != sign]
            found[sign] = tuple(dict.fromkeys([*found.get(sign, ()), *others]))
    return found


def _ocr() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group in _LOOKS.split("|"):
        signs = group.split()
        for sign in signs:
            others = [other for other in signs if other != sign]
            found[sign] = tuple(dict.fromkeys([*found.get(sign, ()), *others]))
    return found


CHINESE_LOOKS = _alike(
    "未末 己已巳 日曰目 土士 人入八 大太犬 天夭 干千于 田由甲申 刀力 王玉 今令 午牛 木本 "
    "辩辨辫 侯候 拔拨 折拆 析拆 戊戌戍 竞竟 免兔 乌鸟 住往 准淮 贷货 晴睛 请清情 "
    "冶治 享亨 爪瓜 衰衷 暑署 幻幼 弋戈 汨汩 刺剌 复夏 处外 开升 问间 买卖 "
    "东车 车东 历厉 没设 设没 论伦 仑仓 抢枪 场扬 怕拍 泊柏 哪那 传转 洒酒 "
    "账帐 低底 受爱 师帅 候侯 即既 具且 季委 粟栗 徽微 第弟 代伐 休体 因困 "
    "圆园 广厂 气乞 风凤 尺尽 头买 乒乓 孑孓 会全 企金 合台 句旬 名各 吃乞 "
    "员圆 坏环 块快 坡披 城诚 坟纹"
)
"""Chinese characters that look alike."""

CHINESE_SOUNDS = _alike(
    "的地得 在再 做作 他她它 已以 那哪 坐座 象像向 带代待 到道倒 长常场 和合河 是事市式 有又右 "
    "时十实石 会汇惠 生升声 国果过 经精京 元原员圆 公工功 机几积 市式示 股古鼓 家加价 价架嫁 其起期 气器汽 "
    "新心欣 中种钟 业页夜 收手首 受售瘦 买卖麦 资自字 报抱暴 高搞 行型形 银因音 金今进 年念 月越乐 "
    "上尚 下夏吓 大打 小晓校 多都 少绍 人任认 明名命 里理力 分份纷 成城程 方放房 开凯 关观官 "
    "门们 东动冬 西系希 南难男 北被杯 球求 队对 赛塞 胜圣剩 面免棉 包保宝 票漂 必毕币 反返饭 "
    "副付负 部步布 近进尽 决绝 克客刻 利立历 密蜜 清请青 情晴 全权泉 树数 谁水 提题 同通 "
    "望忘往 位为未 现线县 想响 信新 需须 言延 样洋 要药 一亿 意义易 应英 用永 由油 "
    "与于雨 员圆 院愿 月阅 早找 这着 真针 整正 只指知 至致制"
)
"""Chinese characters of about the same sound."""

OCR: Mapping[str, tuple[str, ...]] = _ocr()
"""Signs and pairs of signs, and what a scanner takes them for."""
