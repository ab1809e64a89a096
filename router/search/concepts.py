"""Holds groups of everyday words, English and Chinese, that mean much the same for tools.

People ask for a "folder" where a tool says "directory". A word may stand in several groups. An
underscore joins the words of a phrase. A line that begins with a space continues the group above.
"""

from __future__ import annotations

from typing import Final

GROUPS: Final = """\
create make new add generate build start open init initialize insert produce set_up compose
  establish 创建 新建 添加 新增 生成 增加 建立 加 建 做 制作 插入 开通
delete remove erase drop forget discard clear clean destroy purge unlink uninstall trash wipe
  unset get_rid throw_away 删除 移除 清除 清空 删掉 删 去掉 卸载 忘记 丢弃
update edit modify change alter patch adjust replace rewrite set put revise amend correct tweak
  更新 修改 编辑 更改 调整 替换 改 设置 改成
list show display enumerate all every everything see view which 列出 列表 所有 全部 有哪些 哪些
  都有 显示 展示
get read retrieve fetch view see show describe inspect look check info information details say
  says load obtain contents 获取 读取 查看 看 看看 详情 信息 拿到 得到 内容 读 取
find search query lookup look_up locate discover where filter seek hunt match grep matching 搜索
  查找 查询 检索 找 搜 查 寻找 筛选 查一下 找到
save store write record remember keep put log persist memorize note memory 保存 存储 记录 记住
  写入 存 记下
send post publish submit deliver tell message notify share 发送 发 发布 提交 发给 推送 通知 告诉
  分享
write post create draft compose author 写 撰写 起草
move rename relocate transfer migrate 移动 重命名 改名 转移 迁移
copy clone duplicate fork replicate cherry_pick pick 复制 拷贝 克隆
download fetch clone pull get import save export crawl 下载 拉取 导出 抓取
upload attach push import add attachment 上传 附件 导入 附加
import load ingest read_in 导入 载入
export dump extract save_as convert 导出 转储
run execute exec start launch trigger invoke call perform evaluate eval 运行 执行 启动 触发 调用
start begin launch boot open resume 开始 启动 打开
stop end close kill terminate abort cancel finish quit halt shut_down interrupt 停止 结束 关闭
  终止 取消 退出
restart reboot reload refresh 重启 重新加载 刷新
pause suspend hold sleep wait 暂停 等待
fix repair correct resolve solve 修复 解决 修正
undo reset revert rollback roll_back back restore recover reflog undelete get_back 撤销 恢复
  还原 回滚 重置
compare diff difference changed changes versus contrast 比较 对比 差异 变化 区别
change changes changed modified modification modifications diff uncommitted updates 变更 改动
  修改 变化
merge combine join land integrate unite 合并 整合
review approve approval feedback examine inspect 审核 审查 评审 审批 批准
reject decline deny refuse 拒绝 驳回
comment reply answer respond note remark discussion leave_a_comment leave_a_note 评论 回复 回答
  答复 留言
label tag mark categorize classify version release annotate labeling 标签 标记 分类
release version tag publish ship 发布 版本 上线
assign assignee owner responsible delegate 分配 指派 负责人 经办人
count number_of many amount total how_many quantity 数量 多少 统计 计数 个数 总数
sum add_up total aggregate group average mean statistics aggregation 求和 汇总 合计 平均 聚合
  统计
sort order rank arrange 排序 排列
convert transform turn translate change_into parse format 转换 转成 转化 变成 解析 转为
translate translation language 翻译 语言
summarize summary digest overview abstract tldr 总结 摘要 概括 概述
compress zip gzip shrink archive pack unpack unzip extract 压缩 解压 打包
encrypt decrypt cipher hash encode decode 加密 解密 编码
validate verify check test confirm lint 验证 校验 检查 确认 检测
analyze analysis examine inspect audit diagnose investigate insight insights study why 分析 诊断
  检查 研究
navigate go visit open browse goto go_to 导航到 访问 打开
click press tap push hit 点击 按 单击
type enter fill input key_in fill_in keyboard 输入 填写 填 键入
choose select pick option dropdown 选择 选 挑选
drag drop move 拖动 拖拽
scroll swipe 滚动
hover mouse cursor 悬停 鼠标
wait until delay 等待 等到
record capture screencast recording video 录制 录屏
share permission grant access allow invite authorize allowed 分享 授权 权限 允许 邀请 共享
block ban forbid prevent deny 禁止 屏蔽
connect reach access forward login link tunnel port 连接 访问 接入
disconnect detach log_out sign_out logout 断开 登出 注销
login sign_in log_in authenticate credentials 登录 登陆 认证
register sign_up signup enroll join 注册 报名 加入
join joined member participate belong 加入 参加 进群
subscribe follow watch 订阅 关注
monitor track watch observe status poll follow alert 监控 跟踪 监视 追踪
split expand divide break decompose subtask subtasks break_down smaller 拆分 分解 展开 分割
install deploy setup add set_up 安装 部署
scale replicas copies resize autoscale 扩容 伸缩 缩放 副本
schedule plan cron timer recurring remind 安排 计划 定时 日程
remind reminder alarm 提醒 闹钟
book reserve booking reservation appointment 预订 预约 预定
buy purchase order pay checkout 购买 买 下单
pay payment charge invoice bill billing refund transaction 支付 付款 发票 账单 退款 收款
enable disable toggle switch turn_on turn_off activate 启用 禁用 开关 切换
switch change checkout set use 切换 换到
lock unlock protect 锁定 解锁
sync synchronize mirror 同步
archive close hide 归档 存档
print output 打印 输出
draw plot sketch render paint visualize diagram chart graph generate 画 绘制 画图 绘图
think reason thinking thought reflect reasoning ponder hard_problem sequential 思考 推理 想
plan planning roadmap strategy 计划 规划 路线图
estimate complexity effort hard difficult 估计 评估 复杂度
commit check_in stage 提交
file document files readme 文件 文档
document doc docs page paper 文档 文件
folder directory dir path folders directories 文件夹 目录 路径
text content string contents readme plain 文本 文字 正文
line row lines block paragraph 行 一行 段落 段
space size storage disk sizes big large biggest largest heavy capacity take_up 大小 空间 存储
  容量
metadata properties attributes info details 元数据 属性
picture image photo screenshot images pictures pics logo png jpeg icon wallpaper 图片 图像 照片
  截图 相片 图标
video clip movie film clips mp4 youtube footage 视频 短片 影片 电影
audio sound music song voice speech podcast 音频 声音 音乐 语音 歌曲
screenshot snapshot capture screen 截图 快照 截屏 屏幕
pdf report print 报告
spreadsheet excel sheet table csv bitable base workbook 表格 电子表格 多维表格 数据表
table database spreadsheet base collection 表 数据表
row rows record records entry entries document documents item items object objects 记录 条目
  一行 数据
column columns field fields property properties attribute attributes schema 字段 列 属性
schema structure fields columns model definition types shape properties 结构 模式 字段
database db sql mongo mongodb postgres mysql sqlite 数据库
collection table set 集合
index indexes 索引
filter where criteria condition query 筛选 过滤 条件
cell cells range 单元格
website site web url homepage domain 网站 站点
page website webpage url tab 网页 页面
url link address hyperlink href 链接 网址
internet web online www 互联网 网上 上网
scrape crawl extract read markdown 抓取 爬取 提取
news headlines articles latest current_events press 新闻 头条 资讯
tab window browser 标签页 窗口 浏览器
form fields sign_up input survey 表单 问卷
button link element control 按钮 元素
popup dialog alert modal confirm 弹窗 对话框
cookie session cache local_storage 缓存 会话
console javascript errors logs devtools 控制台
network requests traffic http xhr calls 网络 请求
device phone mobile smartphone emulate viewport resize tablet iphone responsive 手机 设备 移动端
  平板
slow performance fast speed optimize slowly latency bottleneck lighthouse loading 慢 性能 速度
  优化
memory_leak memory heap leak 内存 内存泄漏
accessibility seo audit lighthouse 无障碍
message note chat said conversation talk talked say text 消息 信息 聊天 说 讲 通知
conversation chat thread history talk discussion 对话 会话 聊天记录
channel group room chat team general 频道 群 群聊 群组 讨论组
thread reply replies 话题
history past previous earlier recent log said 历史 记录 以前
emoji reaction react thumbs like smiley 表情 点赞
mail email inbox gmail letter 邮件 邮箱 信 电子邮件
calendar event meeting appointment schedule 日历 会议 日程 活动
meeting call conference engagement 会议 开会 通话
user person people member members colleague users who coworker employee profile account someone
  teammate 用户 人 成员 同事 谁 员工 人员 账号
author writer wrote who blame committer 作者 谁写的
team workspace organization group department 团队 部门 组织
customer contact client lead company crm account 客户 联系人 顾客
contact contacts address_book person 联系人 通讯录
company organization firm business association 公司 企业
deal sale opportunity pipeline sales 交易 商机 销售
relation relations relationship association associations belong belongs link linked connected
  关系 关联 属于
issue bug ticket problem defect report 问题 缺陷 工单
task todo work ticket job chore to_do 任务 待办 工作 事项
next upcoming following 下一个 接下来
done finished complete completed closed status state progress 完成 状态 进度 结束
priority urgent important 优先级 紧急
dependency depends blocked prerequisite 依赖
deadline due date overdue 截止 到期
sprint board kanban backlog agile 看板 迭代
project projects 项目
requirements prd specification spec 需求
pull_request pr prs merge_request merge mr 合并请求
repo repository project repos repositories codebase source_code 仓库 代码库
branch branches worktree 分支
commit commits changeset revision 提交
code source program function script 代码 程序 函数 源码
ci checks status build pipeline workflow green passing tests 构建 流水线
stash aside uncommitted shelve 暂存
log logs output journal trace console 日志 输出 history commits 历史
error exception failure bug errors crash crashed fail failed failing fault 错误 异常 报错 失败
crash crashing restart die fail logs describe 崩溃 挂了
test tests testing unit_test 测试
debug breakpoint inspect trace 调试
package library framework module dependency chart 包 库 框架 依赖
docs documentation manual reference guide api_reference help 文档 手册 说明 帮助
chart graph plot diagram visualization 图表 图
pie share shares proportion percentage portion 饼图 比例 占比
bar column histogram distribution 柱状图 条形图 分布
line trend grew growth over_time time_series area 折线图 趋势 增长
scatter correlation correlate relationship variables correlated 散点图 相关性
flow process steps workflow procedure flowchart sankey 流程 流程图 步骤
hierarchy organization tree structure org reports_to treemap 层级 组织架构 树
mind_map mind idea ideas brainstorm topic 思维导图 脑图
word_cloud word words frequent frequency common 词云 词频
frequency frequent often distribution histogram 频率
funnel stages drop_off conversion 漏斗 转化
radar skills dimensions compare 雷达图
cause fishbone root_cause reason causes why 原因 鱼骨图
set venn overlap intersection 交集 韦恩图
sankey flows money movement 桑基图
map geographic regions cities location 地图 地理
distance far long between how_far 距离 多远 远
drive driving car directions route road way 开车 驾车 自驾 路线
walk walking foot on_foot pedestrian 步行 走路 走过去 徒步
bike bicycle bicycling cycling ride riding 骑行 骑车 自行车
transit subway metro train bus public_transport railway 公交 地铁 火车 公共交通 坐车 巴士
directions route way path navigation get_to how_to_get 路线 怎么走 导航 怎么去 路径 规划
traffic congestion jam road 路况 堵车 拥堵 交通
duration long time travel how_long 时间 多久 时长
nearby near around close local vicinity surrounding 附近 周边 周围 旁边
place location spot shop restaurant store shops places poi cafe bar hotel venue local 地点 位置
  地方 店 商店 兴趣点
restaurant food eat dinner lunch coffee cafe 餐厅 美食 好吃 吃饭 饭店 餐馆 咖啡 吃 吃的
place restaurant 餐厅 美食 好吃 吃的 饭店 酒店 超市 加油站 医院 咖啡
coordinates latitude longitude geocode position gps lat lng geographic 坐标 经纬度 经度 纬度
  地理编码
address place location street postal 地址 位置
elevation height altitude high sea_level above_sea 海拔 高度
weather forecast temperature rain sunny wind climate humid snow 天气 气温 温度 下雨 预报
ip network cidr office_address ip_address whitelist access_list ip地址
flight plane airline airport hotel travel trip 航班 飞机 机场 旅行 出行
time date clock now timezone today current 时间 日期 现在 今天
stock price market quote share ticker finance 股票 价格 行情 金融
currency exchange money dollar euro 货币 汇率 钱
product item catalog inventory shop 商品 产品 库存
order orders purchase cart 订单 购物车
paper papers research scientific academic study publication arxiv literature science 论文 学术
  文献
book books library 书 图书
wiki knowledge_base knowledge space node 知识库 维基 百科
knowledge graph know memory entity entities observation observations facts 知识 图谱
remember memory memorize observation fact facts learn 记住 记忆
forget memory observation delete_memory 忘记
note notes memo notebook 笔记 便签 备忘
comment comments annotation 批注 评论
title name heading caption 标题 名称 名字
id identifier key number 编号 标识
idea suggestion recommendation recommend 建议 推荐
question ask answer faq 问题 提问
shell terminal command exec bash console prompt cli cmd 终端 命令 命令行
process processes program programs running application app apps 进程 程序 应用
machine computer laptop local system host server desktop 电脑 机器 本机 系统
server host machine node vm instance 服务器 主机 节点
node machine server nodes maintenance drain cordon 节点
container pod docker containers pods image 容器
cluster kubernetes k8s kubectl context namespace environment 集群
deployment deploy rollout release 部署
service endpoint api 服务 接口
api endpoint rest http 接口
config configuration settings preferences options setup 配置 设置 选项
environment variable env secret variables 环境变量 变量
secret password token key credential 密码 密钥 令牌
security vulnerability safe attack 安全 漏洞
backup snapshot restore 备份
usage quota limit credits consumption 用量 配额 额度
cost price spend budget 费用 成本 预算
metric metrics stats statistics analytics dashboard 指标 统计 数据 看板
alert alarm incident warning notification 告警 报警 警告 通知
feature function ability capability tool tools 功能 工具
model llm ai gpt prompt 模型 人工智能
number numbers integer math calculate add sum arithmetic calculator 数字 计算 加法 数学
random generate dice 随机
json xml yaml csv data 数据
template boilerplate layout 模板
design figma layout frame ui 设计 界面
color style theme font 颜色 样式 主题
light lamp bulb brightness 灯
public private visibility 公开 私有
latest newest recent last current up_to_date 最新 最近 当前
old older outdated stale 旧 过期
batch bulk several multiple many at_once 批量 多个 一次 一批
single one individual specific particular 单个 某个
tree hierarchy recursive structure 树
whole entire complete full all 整个 全部
"""
"""A group in each line that does not begin with a space."""
